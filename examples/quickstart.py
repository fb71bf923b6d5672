"""The quickstart: settings of a program that are there again when it runs again."""

import contextlib
import tempfile

from perkey import FileDirDict

with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    # Create a dictionary that will be stored in the "my_app_data" folder.
    # The folder will be created automatically if it doesn't exist.
    app_settings = FileDirDict(base_dir="my_app_data")

    # Add and update items just like a regular dictionary.
    app_settings["username"] = "alex"
    app_settings["theme"] = "dark"
    app_settings["notifications_enabled"] = True

    # Values can be any pickleable Python object.
    app_settings["recent_projects"] = ["project_a", "project_b"]

    print(f"Current theme is: {app_settings['theme']}")
    # >>> Current theme is: dark

    # The data persists!
    # If you run the script again or create a new dictionary object
    # pointing to the same folder, the data will be there.
    reloaded_settings = FileDirDict(base_dir="my_app_data")

    print(f"Number of settings: {len(reloaded_settings)}")
    # >>> Number of settings: 4

    print("username" in reloaded_settings)
    # >>> True
