"""What people are told."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict

from factory.domain.recovery import Severity


class Message(BaseModel):
    """One message.

    Attributes:
        id: The same whenever it is sent again, so that receivers recognise it.
        subject: One line.
        recipients: Whom it is for, by name; where it goes is the channel's affair.
        project_id: The project that it is about, if it is about one.
    """

    model_config = ConfigDict(frozen=True)

    id: UUID
    subject: str
    text: str
    severity: Severity
    recipients: tuple[str, ...] = ()
    project_id: UUID | None = None
