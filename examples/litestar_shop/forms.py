"""The forms of the shop."""

from dataclasses import dataclass
from typing import Annotated

from litestar.enums import RequestEncodingType
from litestar.params import Body

_AS_FORM = Body(media_type=RequestEncodingType.URL_ENCODED)


@dataclass
class Purchase:
    """Adds an item to the cart."""

    item: str


@dataclass
class Credentials:
    """Logs a user in."""

    name: str
    password: str
    keep: str = ""


@dataclass
class Password:
    """Confirms a password, or sets a new one."""

    password: str


@dataclass
class Device:
    """Signs a device out."""

    handle: str


PurchaseForm = Annotated[Purchase, _AS_FORM]
CredentialsForm = Annotated[Credentials, _AS_FORM]
PasswordForm = Annotated[Password, _AS_FORM]
DeviceForm = Annotated[Device, _AS_FORM]
