// The JavaScript SDK (v3) as a client of the gateway: through HTTPS_PROXY, for which it needs an agent, or, where
// AWS_ENDPOINT_URL is set, with the gateway as its endpoint and no code at all. Prints one line a call, and fails at the first wrong one.
//
//   node calls.mjs BUCKET
import { Readable } from "node:stream";
import { randomBytes } from "node:crypto";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { HttpsProxyAgent } from "hpagent";

const bucket = process.argv[2];
const proxy = process.env.AWS_ENDPOINT_URL ? undefined : process.env.HTTPS_PROXY;
const handler = () => (proxy ? new NodeHttpHandler({ httpsAgent: new HttpsProxyAgent({ keepAlive: true, proxy }) }) : undefined);
const settings = () => ({ region: "us-east-1", requestHandler: handler(), maxAttempts: 1 });

async function put(name, client, body, length) {
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: name, Body: body(), ContentLength: length }));
  const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: name }));
  const back = Buffer.from(await answer.Body.transformToByteArray());
  if (!back.equals(data)) throw new Error(`${name}: other bytes came back`);
  console.log(`${name} ok`);
}

const data = randomBytes(1_000_003);
const plain = new S3Client(settings());
const quiet = new S3Client({ ...settings(), requestChecksumCalculation: "WHEN_REQUIRED" });

if (!process.env.S3_ONLY) {
  const identity = await new STSClient(settings()).send(new GetCallerIdentityCommand({}));
  console.log(`identity ${identity.Account} ok`);
}
await put("buffer", plain, () => data, data.length);
await put("stream", plain, () => Readable.from([data.subarray(0, 300_000), data.subarray(300_000)]), data.length);
await put("declared-hash", quiet, () => data, data.length);
if (process.env.AWS_ENDPOINT_URL) {
  const url = await getSignedUrl(plain, new GetObjectCommand({ Bucket: bucket, Key: "buffer" }), { expiresIn: 60 });
  const answer = await fetch(url);
  if (!Buffer.from(await answer.arrayBuffer()).equals(data)) throw new Error(`presigned: ${answer.status}`);
  console.log("presigned ok");
}
