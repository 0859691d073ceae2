//! The Rust SDK as a client of the gateway: through `HTTPS_PROXY`, or with the gateway as its endpoint (`AWS_ENDPOINT_URL`). Prints
//! a line a call, and ends with 1 at the first wrong one.
//!
//! `sdk-calls BUCKET`

use aws_config::BehaviorVersion;
use aws_sdk_s3::{
    config::RequestChecksumCalculation, presigning::PresigningConfig, primitives::ByteStream, types::ChecksumAlgorithm,
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    convert::Infallible,
    error::Error,
    pin::Pin,
    process::ExitCode,
    task::{Context, Poll},
    time::Duration,
};

type Done = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(bucket) = std::env::args().nth(1) else { return ExitCode::from(3) };
    match calls(&bucket).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error} {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn calls(bucket: &str) -> Done {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    if std::env::var_os("S3_ONLY").is_none() {
        let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await?;
        println!("identity {} ok", identity.account().unwrap_or_default());
    }
    let path_style = std::env::var_os("AWS_ENDPOINT_URL").is_some();
    let settings = || aws_sdk_s3::config::Builder::from(&config).force_path_style(path_style);
    let plain = aws_sdk_s3::Client::from_conf(settings().build());
    let quiet = settings().request_checksum_calculation(RequestChecksumCalculation::WhenRequired).build();
    let data = Bytes::from((0..1_000_003_u32).map(|index| u8::try_from(index % 251).unwrap_or(0)).collect::<Vec<_>>());
    check("buffer", &plain, bucket, &data, ByteStream::from(data.clone())).await?;
    check("stream", &plain, bucket, &data, streamed(&data)).await?;
    check("declared-hash", &aws_sdk_s3::Client::from_conf(quiet), bucket, &data, ByteStream::from(data.clone())).await?;
    let presigning = PresigningConfig::expires_in(Duration::from_secs(60))?;
    let presigned = plain.get_object().bucket(bucket).key("buffer").presigned(presigning).await?;
    println!("presigned {}", presigned.uri());
    Ok(())
}

async fn check(mode: &str, client: &aws_sdk_s3::Client, bucket: &str, data: &Bytes, body: ByteStream) -> Done {
    let length = i64::try_from(data.len())?;
    let put = client.put_object().bucket(bucket).key(mode).content_length(length).body(body);
    let put = if mode == "stream" { put.checksum_algorithm(ChecksumAlgorithm::Crc32) } else { put };
    put.send().await?;
    let back = client.get_object().bucket(bucket).key(mode).send().await?.body.collect().await?.into_bytes();
    if back != *data {
        return Err(format!("{mode}: other bytes came back").into());
    }
    println!("{mode} ok");
    Ok(())
}

/// A body whose bytes the SDK can't know before it has sent them.
fn streamed(data: &Bytes) -> ByteStream {
    ByteStream::from_body_1_x(Pieces(VecDeque::from([data.slice(..300_000), data.slice(300_000..)])))
}

struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(http_body::Frame::data(piece))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}
