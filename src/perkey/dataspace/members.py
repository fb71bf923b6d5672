"""The documents of jobs and projects, and state points as documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from perkey.errors import ConflictError
from perkey.expectations import Expectation, Version
from perkey.synced import (
    BUFFERING_NAMES,
    AttrDict,
    BufferedJSONAttrDict,
    Found,
    JSONFile,
    Resource,
    SyncedCollection,
    SyncedList,
    Validator,
    free_names,
    json_attr_dict_validator,
    pair,
)

if TYPE_CHECKING:
    from perkey.dataspace.job import Job


class DocumentFile(JSONFile):
    """A JSON file whose folder may be missing at a write.

    Args:
        filename: The path.
        prepare: Makes the folder then, or raises.
        durable: Whether it is on disk when a write returns.
        place: The folder of the data space, whose file system decides how the file is used.
    """

    def __init__(self, filename: str, prepare: Callable[[], object], *, durable: bool, place: str) -> None:
        super().__init__(filename, durable=durable, place=place)
        self._prepare = prepare

    def write_bytes(self, content: bytes, expect: Expectation) -> Version:
        try:
            return super().write_bytes(content, expect)
        except FileNotFoundError:
            self._prepare()
            return super().write_bytes(content, expect)


class SpaceDocument(BufferedJSONAttrDict):
    """The document of a job or project: a nested dictionary with attributes that saves itself.

    Args:
        file: Where it is.
    """

    def __init__(self, file: DocumentFile) -> None:
        SyncedCollection.__init__(self, file)


class WithDocument:
    """Something that has a document."""

    _document: SpaceDocument | None = None

    def _document_file(self) -> DocumentFile:
        """Return the file of the document; called once for a document."""
        raise NotImplementedError

    @property
    def document(self) -> SpaceDocument:
        """The document: a nested dictionary that saves itself, safe under many writers.

        Asking for a job's initialises the job. Call it for a plain copy.
        """
        if self._document is None:
            self._document = SpaceDocument(self._document_file())
        return self._document

    @document.setter
    def document(self, new: Mapping[str, Any]) -> None:
        self.document.reset(new)

    @property
    def doc(self) -> SpaceDocument:
        """The same as `document`."""
        return self.document

    @doc.setter
    def doc(self, new: Mapping[str, Any]) -> None:
        self.document.reset(new)


class StatePointResource(Resource):
    """The state point of a job: its version is the job's id, and writing moves the job.

    Args:
        job: The handle, which moves as well.
    """

    def __init__(self, job: Job) -> None:
        self._job: Final = job

    def read(self, known: Version | None) -> Found | None:
        job = self._job
        return None if job.id == known else (job._plain_statepoint(), job.id)

    def write(self, data: Any, expect: Expectation) -> Version:
        job = self._job
        if job.id != expect:
            raise ConflictError(("statepoint",), expect, job.id)
        job.reset_statepoint(data)
        return job.id

    def describe(self) -> str:
        return f"the state point of job {self._job.id}"


class StatePointDict(AttrDict):
    """A state point: a dictionary with attributes, whose changes move the job.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        SyncedCollection.__init__(self, StatePointResource(job))


class StatePointList(SyncedList):
    """A list in a state point."""

    _validators: ClassVar[tuple[Validator, ...]] = (json_attr_dict_validator,)


free_names(SpaceDocument, ("resource",), None)
free_names(StatePointDict, ("resource", *BUFFERING_NAMES), None)
pair(StatePointDict, StatePointList)
