"""A private certificate authority and the certificates of the hosts, made anew for each run."""

import os

from children import run


class Authority:
    def __init__(self, folder):
        self.folder = folder
        self.certificate = os.path.join(folder, "ca.pem")
        self.key = os.path.join(folder, "ca.key")
        self.log = os.path.join(folder, "openssl.log")
        self.openssl(
            "req", "-x509", *self.new_key(self.key), "-out", self.certificate, "-days", "2", "-subj", "/CN=Private CA of a test",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )

    def openssl(self, *arguments):
        run(["openssl", *arguments], 60, self.log)

    @staticmethod
    def new_key(path):
        # The key is for a scratch folder that only its owner may enter.
        return ["-newkey", "rsa:2048", "-nodes", "-keyout", path]

    def issue(self, name, addresses):
        """Certificate and key for some loopback addresses."""
        certificate, key, request = (os.path.join(self.folder, f"{name}.{end}") for end in ("pem", "key", "csr"))
        self.openssl("req", *self.new_key(key), "-out", request, "-subj", f"/CN={name}")
        extensions = os.path.join(self.folder, f"{name}.ext")
        with open(extensions, "w", encoding="utf-8") as out:
            out.write("basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
            out.write("subjectAltName=" + ",".join(f"IP:{address}" for address in addresses) + "\n")
        self.openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", "2",
            "-extfile", extensions, "-out", certificate,
        )
        return certificate, key

    def self_signed(self, name):
        """Certificate and key that sign documents, not connections."""
        certificate, key = (os.path.join(self.folder, f"{name}.{end}") for end in ("pem", "key"))
        self.openssl("req", "-x509", *self.new_key(key), "-out", certificate, "-days", "2", "-subj", f"/CN={name}")
        return certificate, key
