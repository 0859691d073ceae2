"""boto3 as a client of the gateway, in every payload mode that it has, against an S3 that checks all of them.

    payloads.py BUCKET      prints a line a mode; fails at the first wrong one
"""

import io, os, sys, urllib.request
import boto3
from botocore.config import Config

bucket, data = sys.argv[1], os.urandom(1_000_003)


def client(**settings):
    s3 = settings.pop("s3", {})
    return boto3.client("s3", region_name="us-east-1", config=Config(retries={"max_attempts": 0}, s3=s3, **settings))


def check(mode, s3, body):
    s3.put_object(Bucket=bucket, Key=mode, Body=body)
    back = s3.get_object(Bucket=bucket, Key=mode)["Body"].read()
    assert back == data, f"{mode}: other bytes came back"
    print(mode, "ok")


quiet = {"request_checksum_calculation": "when_required"}
check("default", client(), data)
check("default-stream", client(), io.BytesIO(data))
check("signed-hash", client(s3={"payload_signing_enabled": True}), data)
check("unsigned", client(s3={"payload_signing_enabled": False}, **quiet), data)
check("path-style", client(s3={"addressing_style": "path"}), data)
presigned = client(signature_version="s3v4")
for method, body in (("put_object", data), ("get_object", None)):
    url = presigned.generate_presigned_url(method, Params={"Bucket": bucket, "Key": "presigned key/ü"}, ExpiresIn=60)
    request = urllib.request.Request(url, data=body, method="PUT" if body else "GET")
    answer = urllib.request.urlopen(request).read()
    assert body or answer == data, "presigned: other bytes came back"
print("presigned ok")
client().upload_file(__file__, bucket, "upload-file")
big = os.urandom(12_000_000)
client().upload_fileobj(io.BytesIO(big), bucket, "multipart")
assert client().get_object(Bucket=bucket, Key="multipart")["Body"].read() == big
print("multipart ok")
print("keys with odd names", end=" ")
for key in ("a b", "ü/ö", "a+b", "a//b", "a/../b", "%41", "~.-_", "a=b&c?d"):
    client().put_object(Bucket=bucket, Key=key, Body=b"x")
    assert client().get_object(Bucket=bucket, Key=key)["Body"].read() == b"x", key
print("ok")
