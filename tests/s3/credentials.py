"""With what the servers of the tests are entered."""

from typing import Final

ACCESS_KEY: Final = "test"
SECRET_KEY: Final = "testtest1234"
REGION: Final = "us-east-1"
