//! Where a connection leads: to the gateway, around it, or somewhere that is nobody's business.

use crate::egress::upstream::is_metadata_address;
use std::net::SocketAddr;

/// Port of name servers.
const DNS_PORT: u16 = 53;

/// Where a connection leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// To the gateway.
    Gateway,
    /// Past it.
    Around,
    /// To a name server.
    Names,
    /// To a metadata service, which hands out the machine's own credentials.
    Metadata,
    /// To this machine.
    Local,
}

/// Which addresses are what.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Where the gateway listens.
    pub gateway: Vec<SocketAddr>,
    /// Where it sends calls by configuration: who connects there by himself goes around it, wherever that is.
    pub upstreams: Vec<SocketAddr>,
}

impl Places {
    /// Where a stream leads.
    pub fn of(&self, to: SocketAddr) -> Place {
        let local = to.ip().is_loopback() || to.ip().is_unspecified();
        let listens = |gateway: &SocketAddr| {
            gateway.port() == to.port() && (gateway.ip() == to.ip() || (gateway.ip().is_unspecified() && local))
        };
        if self.gateway.iter().any(listens) {
            return Place::Gateway;
        }
        if self.upstreams.contains(&to) {
            return Place::Around;
        }
        match to.port() {
            DNS_PORT => Place::Names,
            _ if is_metadata_address(to.ip()) => Place::Metadata,
            _ if local => Place::Local,
            _ => Place::Around,
        }
    }

    /// Where datagrams lead. Only HTTP/3 goes around the gateway in them; time servers and the like carry no calls.
    pub fn of_datagrams(&self, to: SocketAddr) -> Place {
        match self.of(to) {
            Place::Around if to.port() != 443 => Place::Local,
            place => place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_on_this_machine_is_around_and_the_rest_of_it_is_not() {
        let all = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let places = Places { gateway: all(&["127.0.0.1:7300", "0.0.0.0:7301"]), upstreams: all(&["127.0.0.2:5000"]) };
        for (to, place) in [
            ("127.0.0.1:7300", Place::Gateway),
            ("127.0.0.1:7301", Place::Gateway),
            ("127.0.0.2:7300", Place::Local),
            ("127.0.0.2:5000", Place::Around),
            ("127.0.0.1:5000", Place::Local),
            ("192.0.2.53:53", Place::Names),
            ("169.254.169.254:80", Place::Metadata),
            ("[fd00:ec2::254]:80", Place::Metadata),
            ("192.0.2.7:443", Place::Around),
        ] {
            assert_eq!(places.of(to.parse().unwrap()), place, "{to}");
        }
        assert_eq!(places.of_datagrams("192.0.2.7:443".parse().unwrap()), Place::Around);
        assert_eq!(places.of_datagrams("192.0.2.7:123".parse().unwrap()), Place::Local);
    }
}
