"""Tokens as OIDC issuers make them, and as forgers do. Reads a list of tokens to make from standard input:

    [{"key": "rsa-1", "alg": "RS256", "claims": {…}, "header": {…}}]

Writes {"tokens": [...], "keys": {NAME: PUBLIC JWK}}. Keys live in the folder that is the first argument, made when they are first named;
what they are is said by their name: rsa-…, ec-…, ed-…. The algorithm "none" signs nothing, "HS256" signs with the public key as it
is published (PEM), which is a secret to nobody. {"twin": INDEX} is an ES256 token that was made before, with the other signature that
anybody can make of its own.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

KINDS = {"rsa": (RSAKey, 2048), "ec": (ECKey, "P-256"), "ed": (OKPKey, "Ed25519")}
folder = pathlib.Path(sys.argv[1])
public = {}


def key_of(name):
    file = folder / f"{name}.jwk"
    kind, size = KINDS[name.split("-")[0]]
    if not file.exists():
        made = kind.generate_key(size, private=True)
        file.write_text(json.dumps(made.as_dict(private=True)))
    key = kind.import_key(json.loads(file.read_text()))
    public[name] = {**key.as_dict(private=False), "kid": name, "use": "sig"}
    return key


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(wanted):
    key, algorithm = key_of(wanted["key"]), wanted["alg"]
    header = {"alg": algorithm, "kid": wanted["key"], "typ": "JWT", **wanted.get("header", {})}
    header = {name: value for name, value in header.items() if value is not None}
    claims = json.dumps(wanted["claims"]).encode()
    if algorithm not in ("none", "HS256"):
        registry = jws.JWSRegistry(algorithms=["RS256", "RS512", "PS256", "ES256", "Ed25519", "EdDSA"], strict_check_header=False)
        return jws.serialize_compact(header, claims, key, registry=registry)
    signed = f"{part(json.dumps(header).encode())}.{part(claims)}"
    if algorithm == "none":
        return f"{signed}."
    pem = key.as_pem(private=False)
    return f"{signed}.{part(hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"


def twin(text):
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signed, signature = text.rsplit(".", 1)
    signature = base64.urlsafe_b64decode(signature + "==")
    other = order - int.from_bytes(signature[32:], "big")
    return f"{signed}.{part(signature[:32] + other.to_bytes(32, 'big'))}"


tokens = []
for wanted in json.load(sys.stdin):
    tokens.append(twin(tokens[wanted["twin"]]) if "twin" in wanted else token(wanted))
json.dump({"tokens": tokens, "keys": public}, sys.stdout)
