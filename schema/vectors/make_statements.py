#!/usr/bin/env python3
"""Makes statements.json anew: statements, signatures of every kind of key over one of them, and files of signers.

    make_statements.py > statements.json

Needs ssh-keygen. It makes new keys each time, so the file changes whole; nothing but its readers has to know the keys.
Security keys are made here from what PROTOCOL.u2f says, for want of one in this machine: ssh-keygen checks those too.
"""

import base64
import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

STATEMENT = {
    "account": None, "act": "approve", "acting_for": None, "basis": "word of uid 1000 (alice)", "format": "sealgate/statement/v1",
    "gateway": "gw-0011223344556677", "needs": 2, "opens_before": "2026-11-26T12:00:00Z", "principal": "alice",
    "principal_kind": "human", "reason": "restore the backup of § 7 (Größe: 3 TB)", "remark": None, "request": "R-0123456789ab",
    "requester": "alice", "role": "arn:aws:iam::123456789012:role/restore", "seconds": 3600, "session": None, "signer": "bob",
    "window": "CHG-1",
}  # fmt: skip
LATE = {"request": None, "seconds": None, "needs": None, "opens_before": None, "session": "S-0123456789ab", "remark": "looked at it"}


def text(**changed):
    return json.dumps({**STATEMENT, **changed}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def statements():
    good = [
        text(), text(act="request", signer="alice"), text(act="request", needs=0, session="S-1"),
        text(act="deny", remark="not today"), text(act="extend", session="S-1"), text(**LATE, act="review"),
        text(**LATE, act="revoke"), text(opens_before=None), text(acting_for="carol", principal_kind="agent"),
        text(seconds=2**32 - 1, needs=64), text(reason="\U0001f512 \"quoted\" \\ / é"),
    ]  # fmt: skip
    bad = [
        "", "{}", text() + "\n", text().replace(",", ", ", 1), text(more=1), text().replace('"needs":2', '"needs":2,"needs":2'),
        text(act="grant"), text(format="sealgate/statement/v2"), text(window="../x"), text(gateway=""), text(signer=""), text(signer=" "),
        text(principal_kind="robot"), text(reason="two\nlines"), text(reason="\u202enrut"), text(reason="zero\u200bwidth"), text(role=""),
        text(reason="x" * 2049), text(signer="x" * 257), text(seconds=0), text(seconds=2**32), text(seconds=60.5), text(seconds="60"),
        text(needs=0), text(needs=65), text(needs=-1), text(request=None), text(session="S-1"), text(act="deny"), text(act="extend"),
        text(**{**LATE, "remark": None}, act="review"), text(**{**LATE, "session": None}, act="revoke"), text(**{**LATE, "seconds": 1}, act="review"),
        text(opens_before="2026-02-29T00:00:00Z"), text(opens_before="2026-11-26T12:00:00"), text(opens_before=5), text(remark=""),
        json.dumps({**STATEMENT}, sort_keys=True, separators=(",", ":")), text(reason="\ufeffx"), text(principal="a\U000e0041b"),
    ]  # fmt: skip
    return [{"text": line, "good": True} for line in good] + [{"text": line, "good": False} for line in bad]


def string(value):
    value = value.encode() if isinstance(value, str) else value
    return len(value).to_bytes(4, "big") + value


def mpint(number):
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def armour(blob):
    encoded = base64.b64encode(blob).decode()
    lines = [encoded[at : at + 70] for at in range(0, len(encoded), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def sshsig(key, signed, namespace="sealgate", name="sha512", version=1, reserved=b"", magic=b"SSHSIG", more=b""):
    head = magic + version.to_bytes(4, "big") + string(key) + string(namespace)
    return armour(head + string(reserved) + string(name) + string(signed) + more)


def to_sign(message, namespace="sealgate", name="sha512"):
    return b"SSHSIG" + string(namespace) + string(b"") + string(name) + string(hashlib.new(name, message).digest())


class SecurityKey:
    """What an authenticator does, for both kinds of key."""

    def __init__(self, curve):
        self.key = ec.generate_private_key(ec.SECP256R1()) if curve else ed25519.Ed25519PrivateKey.generate()
        self.name = "sk-ecdsa-sha2-nistp256@openssh.com" if curve else "sk-ssh-ed25519@openssh.com"
        form = serialization.PublicFormat
        public = self.key.public_key()
        if curve:
            point = public.public_bytes(serialization.Encoding.X962, form.UncompressedPoint)
            self.blob = string(self.name) + string("nistp256") + string(point) + string("ssh:")
        else:
            self.blob = string(self.name) + string(public.public_bytes(serialization.Encoding.Raw, form.Raw)) + string("ssh:")

    def sign(self, message, flags=1, namespace="sealgate"):
        tail = bytes([flags]) + (7).to_bytes(4, "big")
        data = hashlib.sha256(b"ssh:").digest() + tail + hashlib.sha256(to_sign(message, namespace)).digest()
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            signed = self.key.sign(data)
        else:
            r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
            signed = mpint(r) + mpint(s)
        return sshsig(self.blob, string(self.name) + string(signed) + tail, namespace)


def keygen(folder, kind, bits=None):
    path = folder / f"{kind}-{bits}"
    size = ["-b", str(bits)] if bits else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "", "-f", path], check=True)
    return path, " ".join((folder / f"{path.name}.pub").read_text().split()[:2])


def sign(path, message, namespace="sealgate", hash="sha512"):
    ran = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-O", f"hashalg={hash}", "-f", path], input=message, capture_output=True, check=True
    )
    return ran.stdout.decode()


def accepted(signature, key, message, namespace="sealgate"):
    """What ssh-keygen says of a signature."""
    with tempfile.TemporaryDirectory() as folder:
        signers, file = Path(folder, "signers"), Path(folder, "signature")
        signers.write_text(f"bob {key}\n")
        file.write_text(signature)
        run = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "bob", "-n", namespace, "-s", file]
        return subprocess.run(run, input=message, capture_output=True).returncode == 0


def signatures(folder, message):
    for kind, bits in [("ed25519", None), ("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521), ("rsa", 2048), ("rsa", 4096)]:
        path, key = keygen(folder, kind, bits)
        for hash in ("sha512", "sha256"):
            yield f"{path.name} {hash}", key, sign(path, message, hash=hash), True
        yield f"{path.name}, of another text", key, sign(path, message + b"x"), False
        yield f"{path.name}, for another namespace", key, sign(path, message, "file"), False
    path, key = keygen(folder, "rsa", 1024)
    yield "rsa-1024", key, sign(path, message), False
    for curve in (False, True):
        authenticator = SecurityKey(curve)
        key = f"{authenticator.name} {base64.b64encode(authenticator.blob).decode()}"
        yield authenticator.name, key, authenticator.sign(message), True
        yield f"{authenticator.name}, verified", key, authenticator.sign(message, 5), True
        yield f"{authenticator.name}, not touched", key, authenticator.sign(message, 0), False
        yield f"{authenticator.name}, of another text", key, authenticator.sign(message + b"x"), False
    yield from misshapen(message)


def misshapen(message):
    """A good signature by hand, and what is not one."""
    key = ed25519.Ed25519PrivateKey.generate()
    blob = string("ssh-ed25519") + string(key.public_key().public_bytes_raw())
    public = f"ssh-ed25519 {base64.b64encode(blob).decode()}"
    signed = string("ssh-ed25519") + string(key.sign(to_sign(message)))
    good = sshsig(blob, signed)
    yield "by hand", public, good, True
    for name, signature in [
        ("another magic", sshsig(blob, signed, magic=b"SSHSIX")), ("another version", sshsig(blob, signed, version=2)),
        ("something reserved", sshsig(blob, signed, reserved=b"x")), ("something after its end", sshsig(blob, signed, more=b"x")),
        ("something after the signature", sshsig(blob, signed + b"x")), ("another hash", sshsig(blob, signed, name="sha1")),
        ("something after the key", sshsig(blob + b"x", signed)), ("short", sshsig(blob, signed[:-1])), ("empty", ""),
        ("no end", good[:-30]), ("not base64", good.replace("A", "!", 1)), ("another way", sshsig(blob, string("ssh-rsa") + signed[15:])),
        ("a certificate", sshsig(string("ssh-ed25519-cert-v01@openssh.com") + blob, signed)),
    ]:  # fmt: skip
        yield name, public, signature, False


def allowed():
    keys = [ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw() for _ in range(2)]
    one, two = ("ssh-ed25519 " + base64.b64encode(string("ssh-ed25519") + string(key)).decode() for key in keys)
    case = lambda file, name, finds, key=one, at=1_000: {  # noqa: E731
        "file": file, "principal": name, "key": key, "namespace": "sealgate", "at": at, "finds": finds,
    }  # fmt: skip
    day = 86_400
    return [
        case(f"bob {one}", "bob", True), case(f"bob {one} comment with blanks", "bob", True), case(f"bob {one}", "alice", False),
        case(f"bob {two}", "bob", False), case(f"# nobody\n\n  bob {one}\n", "bob", True), case(f"bob {two}\nbob {one}", "bob", True),
        case(f"alice,bob {one}", "bob", True), case(f'"alice,bob" {one}', "bob", True), case(f"bob\t{one}", "bob", True),
        case(f"*@example.com {one}", "bob@example.com", True), case(f"*@example.com {one}", "bob@example.org", False),
        case(f"*,!mallory {one}", "bob", True), case(f"*,!mallory {one}", "mallory", False), case(f"!mallory {one}", "bob", False),
        case(f"b?b {one}", "bob", True), case(f"b?b {one}", "bb", False), case(f"b*b*c {one}", "bxbbc", True), case(f"* {one}", "", True),
        case(f'bob namespaces="file,sealgate" {one}', "bob", True), case(f'bob namespaces="file" {one}', "bob", False),
        case(f'bob namespaces="seal*" {one}', "bob", True), case(f'bob valid-after="19700102Z" {one}', "bob", False),
        case(f'bob valid-after="19700102Z" {one}', "bob", True, at=day), case(f'bob valid-before="19700102Z" {one}', "bob", True, at=day),
        case(f'bob valid-before="19700102Z" {one}', "bob", False, at=day + 1), case(f"bob valid-before=19700102Z {one}", "bob", True),
        case(f'bob namespaces="sealgate",valid-after="197001010001Z",valid-before="19700101000200Z" {one}', "bob", True, at=61),
        case(f'bob valid-before="19700101000200Z" {one}\nbob {one}', "bob", True, at=day), case(f"bob {one}", "Bob", False),
        case(f"bob cert-authority {one}", "bob", None), case(f"bob {one[:-8]}", "bob", None), case("bob", "bob", None), case(one, "bob", None),
        case(f"bob valid-after=19700102 {one}", "bob", None), case(f"bob namespaces= {one}", "bob", None), case(f"bob x=y {one}", "bob", None),
        case(f'bob namespaces="a",namespaces="b" {one}', "bob", None), case(f",bob {one}", "bob", None), case(f"! {one}", "bob", None),
        case(f'bob valid-after="19700103Z",valid-before="19700102Z" {one}', "bob", None), case("bob ssh-dss AAAA", "bob", None),
        case("", "bob", False),
    ]  # fmt: skip


def main():
    line = text()
    message = line.encode() + b"\n"
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for name, key, signature, good in signatures(Path(folder), message):
            # What is good here ssh-keygen takes, and what it does not take is not good here.
            if good and not accepted(signature, key, message):
                raise SystemExit(f"ssh-keygen does not take: {name}")
            made.append({"name": name, "key": key, "signature": signature, "good": good})
    for vector in made:
        blob = base64.b64decode(vector["key"].split()[1])
        vector["fingerprint"] = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    vectors = {"statements": statements(), "message": message.decode(), "signatures": made, "allowed_signers": allowed()}
    print(json.dumps(vectors, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
