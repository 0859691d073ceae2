"""Calls STS from many threads until the proxy is gone; prints a line for each whole answer."""
import sys, threading, boto3, botocore.config

config = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)
lock = threading.Lock()

def work():
    client = boto3.session.Session().client("sts", region_name="us-east-1", config=config)
    while True:
        try:
            client.get_caller_identity()
        except Exception:
            return
        with lock:
            sys.stdout.write("answered\n")
            sys.stdout.flush()

threads = [threading.Thread(target=work) for _ in range(int(sys.argv[1]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
