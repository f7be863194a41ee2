"""A real LDAP server that holds the people of the company."""

import base64
import hashlib
import os
import secrets

import programs
from children import run

SUFFIX = "dc=corp,dc=example,dc=test"
PEOPLE = f"ou=people,{SUFFIX}"
ADMIN = f"cn=admin,{SUFFIX}"

CONFIGURATION = """
include {root}/etc/ldap/schema/core.schema
include {root}/etc/ldap/schema/cosine.schema
include {root}/etc/ldap/schema/inetorgperson.schema
modulepath {root}/usr/lib/ldap
moduleload back_mdb.so
pidfile {folder}/pid
argsfile {folder}/args
# What an anonymous caller may do is to log in.
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw {admin_password}
directory {folder}/data
maxsize 16777216
index uid eq
"""

ENTRY = """
dn: uid={name},{people}
objectClass: inetOrgPerson
uid: {name}
cn: {first}
sn: Example
givenName: {first}
mail: {mail}
entryUUID: {uuid}
userPassword: {password}
"""


def hashed(password):
    salt = secrets.token_bytes(8)
    return "{SSHA}" + base64.b64encode(hashlib.sha1(password.encode() + salt).digest() + salt).decode()


class Slapd:
    def __init__(self, installed, folder, host, port):
        self.installed, self.folder, self.host, self.port = installed, folder, host, port
        self.admin_password = secrets.token_urlsafe(16)
        self.url = f"ldap://{host}:{port}"

    def start(self, children, people):
        os.makedirs(os.path.join(self.folder, "data"))
        root = os.path.join(self.installed, "root")
        configuration = os.path.join(self.folder, "slapd.conf")
        with open(configuration, "w", encoding="utf-8") as out:
            out.write(CONFIGURATION.format(
                root=root, folder=self.folder, suffix=SUFFIX, admin=ADMIN, admin_password=hashed(self.admin_password)
            ))
        people_file = os.path.join(self.folder, "people.ldif")
        with open(people_file, "w", encoding="utf-8") as out:
            out.write(f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: corp\no: Corp\n\n")
            out.write(f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n")
            for person in people:
                out.write(ENTRY.format(
                    people=PEOPLE, name=person.name, first=person.name.capitalize(), mail=person.email, uuid=person.uuid,
                    password=hashed(person.password),
                ))
        env = programs.slapd_environment(self.installed)
        binary = os.path.join(root, "usr", "sbin", "slapd")
        run([binary, "-Tadd", "-f", configuration, "-l", people_file], 60, children.log("slapadd"), env=env)
        # With a debug level it stays in the foreground; this one logs each operation, without passwords.
        children.start("slapd", [binary, "-h", self.url, "-f", configuration, "-d", "stats"], env)
