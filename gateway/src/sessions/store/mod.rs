//! Windows, sessions and requests in a database: SQLite in the home, or PostgreSQL where the configuration names one. The same
//! SQL runs on both, through `sqlx::Any`; only the way to connect differs ([`Place`]).
//!
//! The store is what a restart starts from. It is not evidence: that is the ledger, which is written first. Versions and how one
//! becomes the next are in `schema`.

mod barred;
mod requests;
mod schema;
mod sessions;
mod windows;

pub use barred::Barred;
pub use requests::StoredRequest;
pub use sessions::{Notice, StoredSession};
pub use windows::{Window, WindowState};

use crate::limits::STORE_WAIT;
use sealgate_schema::Text;
use sqlx::{
    AnyPool, Executor, Row,
    any::{AnyPoolOptions, AnyRow},
};
use std::{
    path::{Path, PathBuf},
    sync::Once,
};
use zeroize::Zeroizing;

/// Connections to the database: administrative acts are few.
const CONNECTIONS_MAX: u32 = 2;

/// Where the database is.
pub enum Place {
    /// A file, made where it is not there.
    File(PathBuf),
    /// `postgres://…`, which may hold a password.
    Server(Zeroizing<String>),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Server(_) => f.write_str("Server(masked)"),
        }
    }
}

impl Place {
    fn url(&self) -> Zeroizing<String> {
        match self {
            Self::File(path) => Zeroizing::new(format!("sqlite://{}?mode=rwc", percent(path))),
            Self::Server(url) => url.clone(),
        }
    }
}

/// Everything but letters, digits and slashes, so that no file name is read as a part of the URL.
fn percent(path: &Path) -> String {
    const SET: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'/');
    percent_encoding::percent_encode(path.as_os_str().as_encoded_bytes(), SET).to_string()
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
}

impl Store {
    /// Opens the database, makes it where it is not there, and brings an older one up to this version. `gateway` is whose it
    /// is: a database serves one gateway.
    pub async fn open(place: &Place, gateway: &str) -> Result<Self, sqlx::Error> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let options = AnyPoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(STORE_WAIT);
        let options = match place {
            Place::File(_) => options.after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("PRAGMA journal_mode = WAL").await?;
                    connection.execute("PRAGMA synchronous = FULL").await?;
                    connection.execute("PRAGMA foreign_keys = ON").await.map(drop)
                })
            }),
            Place::Server(_) => options,
        };
        let pool = options.connect(&place.url()).await?;
        schema::upgrade(&pool, gateway).await?;
        Ok(Self { pool })
    }

    /// Its connections, for tables that others keep here.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn text(row: &AnyRow, column: &str) -> Result<Text, sqlx::Error> {
    row.try_get::<String, _>(column).map(Text::from)
}

fn optional(row: &AnyRow, column: &str) -> Result<Option<Text>, sqlx::Error> {
    row.try_get::<Option<String>, _>(column).map(|text| text.map(Text::from))
}

fn flag(row: &AnyRow, column: &str) -> Result<bool, sqlx::Error> {
    row.try_get::<i64, _>(column).map(|number| number != 0)
}

/// Names without blanks and commas, as one column.
fn join(names: &[Text]) -> String {
    names.iter().map(Text::as_str).collect::<Vec<_>>().join(",")
}

fn split(names: &str) -> Vec<Text> {
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.to_owned().into()).collect()
}

fn unknown(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{column} holds {value:?}, which this version does not know").into())
}
