"""Calls with a right and with a wrong secret, against a server that checks signatures; many in parallel."""
import concurrent.futures, boto3, botocore.exceptions

def session(key, secret):
    return boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")

root = session("AKIAROOT", "root").client("iam")
root.create_user(UserName="alice")
root.put_user_policy(UserName="alice", PolicyName="all", PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}')
key = root.create_access_key(UserName="alice")["AccessKey"]
# From here on every signature is checked.
right = session(key["AccessKeyId"], key["SecretAccessKey"])
print("arn", right.client("sts").get_caller_identity()["Arn"])
try:
    session(key["AccessKeyId"], "wrong").client("sts").get_caller_identity()
    print("a wrong secret passed")
except botocore.exceptions.ClientError as error:
    print("refused", error.response["Error"]["Code"])
table = right.client("dynamodb")
table.create_table(TableName="t", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST")

def put(index):
    table.put_item(TableName="t", Item={"k": {"S": str(index)}})

with concurrent.futures.ThreadPoolExecutor(16) as pool:
    list(pool.map(put, range(200)))
print("items", table.scan(TableName="t", Select="COUNT")["Count"])
