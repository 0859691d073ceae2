"""Uploads and downloads objects of SIZE MiB, COUNT times."""
import sys, boto3

size, count = int(sys.argv[1]) << 20, int(sys.argv[2])
client = boto3.session.Session().client("s3", region_name="us-east-1")
client.create_bucket(Bucket="bucket")
data = bytes(range(256)) * (size // 256)
for _ in range(count):
    client.put_object(Bucket="bucket", Key="key", Body=data)
    assert client.get_object(Bucket="bucket", Key="key")["Body"].read() == data
