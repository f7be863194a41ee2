"""Who logs in, and what is peculiar about each. All passwords are made at random for one run."""

import base64
import dataclasses
import secrets
import uuid


def password():
    # With characters that a form must encode.
    return secrets.token_urlsafe(12) + "+&%= ü"


@dataclasses.dataclass
class Person:
    name: str
    # Empty: known to the directory. Otherwise the realm that holds this person itself.
    realm: str = ""
    required_action: str = ""
    with_totp: bool = False

    def __post_init__(self):
        self.password = password()
        self.email = f"{self.name}@{self.realm or 'corp'}.example.test"
        self.uuid = str(uuid.uuid4())
        # Keycloak keeps the text; an authenticator is given the same bytes in base 32.
        self.totp_text = secrets.token_hex(10) if self.with_totp else ""

    @property
    def totp_secret(self):
        return base64.b32encode(self.totp_text.encode()).decode().rstrip("=")

    def told(self):
        told = {"username": self.name, "password": self.password, "email": self.email}
        return {**told, "totp_secret": self.totp_secret} if self.with_totp else told


def everybody():
    # Tests run side by side and count how often somebody's password was judged, so each has people of its own.
    names = ["alice", "heidi", "judy", "mallory", "olivia", "peggy", "rupert", "sybil", "victor", "walter"]
    people = [
        *map(Person, names),
        # One code is good for one login, so whoever tests with them needs one of their own.
        *(Person(name, with_totp=True) for name in ("dave", "frank", "trent")),
        # Is locked out by wrong passwords.
        Person("grace"),
        Person("bob", realm="corp", required_action="UPDATE_PASSWORD"),
        Person("erin", realm="corp", required_action="CONFIGURE_TOTP"),
        # Logs in on the broker's own form.
        Person("local", realm="cognito"),
    ]
    return {person.name: person for person in people}
