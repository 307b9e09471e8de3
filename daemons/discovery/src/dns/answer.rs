//! What is answered to a packet: a function of it and of the zone.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR, SRV};
use hickory_proto::rr::{DNSClass, LowerName, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder};

use crate::zone::{Entry, Found, Zone};

/// The most that goes into one packet, whatever the client says: no network cuts it up (DNS flag day 2020).
const LARGEST_PACKET: u16 = 1232;
/// Bytes of a header.
const HEADER: usize = 12;

/// How a packet came.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// What becomes of a packet.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// The answer is in the buffer.
    Answer,
    /// It is no query that can be read; what is said to that is in the buffer.
    Malformed,
    /// Another server knows.
    Forward,
    /// Nothing is said: to an answer, or to what is too short for a header.
    Nothing,
}

/// Writes the answer to `packet` into `buffer`. `turn` is another number each time: clients often take the first address.
pub(crate) fn answer(
    zone: &Zone,
    packet: &[u8],
    transport: Transport,
    turn: usize,
    buffer: &mut Vec<u8>,
) -> Reply {
    buffer.clear();
    // A loop of two servers that answer each other's answers ends here.
    if packet.len() < HEADER || packet[2] & 0x80 != 0 {
        return Reply::Nothing;
    }
    let Ok(request) = Message::from_vec(packet) else {
        let id = u16::from_be_bytes([packet[0], packet[1]]);
        let code = OpCode::from_u8(packet[2] >> 3 & 0xf);
        let said = Message::error_msg(id, code, ResponseCode::FormErr);
        return if write(&said, u16::MAX, buffer) { Reply::Malformed } else { Reply::Nothing };
    };
    let mut response = Message::new(request.id, MessageType::Response, request.op_code);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.recursion_available = true;
    if let Some(edns) = &request.edns {
        let mut own = Edns::new();
        own.set_max_payload(LARGEST_PACKET);
        own.set_dnssec_ok(edns.flags().dnssec_ok);
        response.set_edns(own);
    }
    let mut reply = Reply::Answer;
    let refused = match (request.op_code, &request.queries[..], &request.edns) {
        (_, _, Some(edns)) if edns.version() > 0 => Some(ResponseCode::BADVERS),
        (OpCode::Query, [query], _) => {
            response.queries.push(query.clone());
            if !resolve(zone, query, turn, &mut response) {
                return Reply::Forward;
            }
            None
        }
        (OpCode::Query, _, _) => {
            reply = Reply::Malformed;
            Some(ResponseCode::FormErr)
        }
        _ => Some(ResponseCode::NotImp),
    };
    if let Some(code) = refused {
        response.metadata.response_code = code;
    }
    let limit = match (transport, &request.edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, Some(edns)) => edns.max_payload().clamp(512, LARGEST_PACKET),
        (Transport::Udp, None) => 512,
    };
    if write(&response, limit, buffer) { reply } else { Reply::Nothing }
}

/// Answers a query about a name of the cluster; false: it is none.
fn resolve(zone: &Zone, query: &Query, turn: usize, response: &mut Message) -> bool {
    if query.query_class() != DNSClass::IN {
        return false;
    }
    let (name, kind) = (query.name(), query.query_type());
    match zone.find(&LowerName::new(name)) {
        Found::Foreign => return false,
        Found::Pointer(host, ttl) => {
            if matches!(kind, RecordType::PTR | RecordType::ANY) {
                response.add_answer(Record::from_rdata(name.clone(), ttl, RData::PTR(PTR(host.clone()))));
            }
        }
        Found::Entry(entry) if !entry.known => {
            response.metadata.response_code = ResponseCode::ServFail;
            return true;
        }
        Found::Entry(entry) => instances(entry, name, kind, turn, response),
    }
    response.metadata.authoritative = true;
    if response.answers.is_empty() {
        response.add_authority(zone.soa.clone());
    }
    true
}

fn instances(entry: &Entry, name: &Name, kind: RecordType, turn: usize, response: &mut Message) {
    let any = kind == RecordType::ANY;
    for address in rotated(&entry.addresses, turn) {
        if any || kind == of(*address) {
            response.add_answer(record(name, *address, entry.ttl));
        }
    }
    if any || kind == RecordType::SRV {
        for (port, host, addresses) in rotated(&entry.targets, turn) {
            let data = SRV::new(10, 10, *port, host.clone());
            response.add_answer(Record::from_rdata(name.clone(), entry.ttl, RData::SRV(data)));
            response.add_additionals(addresses.iter().map(|it| record(host, *it, entry.ttl)));
        }
    }
}

/// Each of them, beginning with another one each time.
fn rotated<T>(all: &[T], turn: usize) -> impl Iterator<Item = &T> {
    let (before, from) = all.split_at(if all.is_empty() { 0 } else { turn % all.len() });
    from.iter().chain(before)
}

fn of(address: IpAddr) -> RecordType {
    if address.is_ipv4() { RecordType::A } else { RecordType::AAAA }
}

fn record(name: &Name, address: IpAddr, ttl: u32) -> Record {
    let data = match address {
        IpAddr::V4(it) => RData::A(A(it)),
        IpAddr::V6(it) => RData::AAAA(AAAA(it)),
    };
    Record::from_rdata(name.clone(), ttl, data)
}

/// Writes a message; one that is too long without its records, so that the client asks again over TCP.
fn write(message: &Message, limit: u16, buffer: &mut Vec<u8>) -> bool {
    let emit = |message: &Message, buffer: &mut Vec<u8>| {
        buffer.clear();
        message.emit(&mut BinEncoder::new(buffer)).is_ok()
    };
    if !emit(message, buffer) {
        return false;
    }
    if buffer.len() <= usize::from(limit) {
        return true;
    }
    // Additional records are a courtesy.
    let mut shorter = message.clone();
    shorter.additionals.clear();
    emit(&shorter, buffer) && (buffer.len() <= usize::from(limit) || emit(&message.truncate(), buffer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::etcd::Directory;

    fn config() -> Config {
        serde_json::from_value(serde_json::json!({
            "host": "h1", "domain": "infra.example.com",
            "hosts": {"h1": ["10.0.0.1"], "h2": ["10.0.0.2", "fd00::2"], "h10": ["10.0.0.10"]},
            "services": {
                "web": {"hosts": ["h1", "h2"], "port": 8443, "master": "h2"},
                "web-app": {"hosts": ["h1"], "port": null},
                "db": {"hosts": ["h10"], "port": 5432},
            },
            "etcd": ["https://10.0.0.1:2379"], "credentials": {"ca": "", "cert": "", "key": ""},
        }))
        .unwrap()
    }

    fn zone(present: &[(&str, &str)], revision: i64) -> Zone {
        let present = present.iter().map(|(service, host)| ((*service).into(), (*host).into())).collect();
        Zone::new(&config(), &Directory { present, revision }).unwrap()
    }

    fn query(name: &str, kind: RecordType) -> Message {
        let mut query = Message::query();
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        query
    }

    fn ask(zone: &Zone, query: &Message, transport: Transport) -> (Reply, Option<Message>) {
        let mut buffer = Vec::new();
        let reply = answer(zone, &query.to_vec().unwrap(), transport, 0, &mut buffer);
        (reply, Message::from_vec(&buffer).ok())
    }

    /// What is answered, as text.
    fn data(zone: &Zone, name: &str, kind: RecordType) -> Vec<String> {
        let (reply, message) = ask(zone, &query(name, kind), Transport::Udp);
        assert_eq!(reply, Reply::Answer, "{name}");
        let mut data: Vec<_> = message.unwrap().answers.iter().map(|it| it.data.to_string()).collect();
        data.sort();
        data
    }

    #[test]
    fn instances_that_are_present_are_answered() {
        let zone = zone(&[("web", "h1"), ("web", "h2"), ("web-app", "h1")], 7);
        assert_eq!(data(&zone, "web.infra.example.com.", RecordType::A), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(data(&zone, "WEB.Infra.example.com.", RecordType::AAAA), ["fd00::2"]);
        assert_eq!(
            data(&zone, "web.infra.example.com.", RecordType::SRV),
            ["10 10 8443 h1.infra.example.com.", "10 10 8443 h2.infra.example.com."]
        );
        assert_eq!(data(&zone, "web-master.infra.example.com.", RecordType::A), ["10.0.0.2"]);
        assert_eq!(data(&zone, "h1.web.infra.example.com.", RecordType::A), ["10.0.0.1"]);
        assert_eq!(data(&zone, "web-app.infra.example.com.", RecordType::A), ["10.0.0.1"]);
        assert_eq!(data(&zone, "h10.infra.example.com.", RecordType::A), ["10.0.0.10"]);
        assert_eq!(data(&zone, "10.0.0.10.in-addr.arpa.", RecordType::PTR), ["h10.infra.example.com."]);
        // Without a port there is no SRV record.
        assert_eq!(data(&zone, "web-app.infra.example.com.", RecordType::SRV), [""; 0]);
    }

    #[test]
    fn an_instance_that_is_gone_is_no_longer_answered() {
        let zone = zone(&[("web", "h1")], 7);
        assert_eq!(data(&zone, "web.infra.example.com.", RecordType::A), ["10.0.0.1"]);
        for gone in ["h2.web", "web-master", "db"] {
            let (reply, message) =
                ask(&zone, &query(&format!("{gone}.infra.example.com."), RecordType::A), Transport::Udp);
            let message = message.unwrap();
            assert_eq!(
                (reply, message.response_code, message.answers.len()),
                (Reply::Answer, ResponseCode::NoError, 0)
            );
            // How long a resolver may remember that there is nothing.
            let soa = &message.authorities[0];
            assert_eq!(
                (soa.record_type(), soa.ttl, soa.name.to_string()),
                (RecordType::SOA, 5, "infra.example.com.".into())
            );
        }
    }

    #[test]
    fn what_is_not_known_yet_is_no_answer_that_there_is_nothing() {
        let zone = zone(&[], 0);
        let (reply, message) = ask(&zone, &query("web.infra.example.com.", RecordType::A), Transport::Udp);
        assert_eq!((reply, message.unwrap().response_code), (Reply::Answer, ResponseCode::ServFail));
        assert_eq!(data(&zone, "h1.infra.example.com.", RecordType::A), ["10.0.0.1"]);
    }

    #[test]
    fn names_of_others_are_forwarded() {
        let zone = zone(&[], 7);
        for foreign in
            ["example.org.", "infra.example.com.", "mail.infra.example.com.", "x.web.infra.example.com."]
        {
            assert_eq!(
                ask(&zone, &query(foreign, RecordType::A), Transport::Udp).0,
                Reply::Forward,
                "{foreign}"
            );
        }
        assert_eq!(
            ask(&zone, &query("9.9.9.9.in-addr.arpa.", RecordType::PTR), Transport::Udp).0,
            Reply::Forward
        );
    }

    #[test]
    fn the_letters_of_the_question_come_back_as_they_were() {
        let zone = zone(&[("web", "h1")], 7);
        let mut buffer = Vec::new();
        let asked = query("wEb.iNfra.eXample.com.", RecordType::A).to_vec().unwrap();
        answer(&zone, &asked, Transport::Udp, 0, &mut buffer);
        assert_eq!(buffer[12..asked.len()], asked[12..]);
    }

    #[test]
    fn what_does_not_fit_into_a_packet_is_truncated_and_whole_over_tcp() {
        let hosts: Vec<_> = (0..200).map(|it| format!("n{it}")).collect();
        let mut config = config();
        config.hosts.extend(hosts.iter().enumerate().map(|(number, host)| {
            (host.clone(), vec![IpAddr::from([10, 1, 0, u8::try_from(number).unwrap()])])
        }));
        config.services.get_mut("web").unwrap().hosts.clone_from(&hosts);
        let present = hosts.iter().map(|it| ("web".to_owned(), it.clone())).collect();
        let zone = Zone::new(&config, &Directory { present, revision: 1 }).unwrap();
        let mut asked = query("web.infra.example.com.", RecordType::A);
        for (payload, limit) in [(None, 512), (Some(1000), 1000), (Some(65000), 1232), (Some(100), 512)] {
            if let Some(payload) = payload {
                let mut edns = Edns::new();
                edns.set_max_payload(payload);
                asked.set_edns(edns);
            }
            let mut buffer = Vec::new();
            answer(&zone, &asked.to_vec().unwrap(), Transport::Udp, 0, &mut buffer);
            let message = Message::from_vec(&buffer).unwrap();
            assert!(message.truncation && buffer.len() <= limit, "{payload:?}: {} bytes", buffer.len());
            assert_eq!(message.edns.is_some(), payload.is_some());
        }
        let (_, message) = ask(&zone, &asked, Transport::Tcp);
        let message = message.unwrap();
        assert_eq!((message.truncation, message.answers.len()), (false, 200));
    }

    #[test]
    fn what_is_no_query_is_answered_as_the_standards_say() {
        let zone = zone(&[], 7);
        let mut buffer = Vec::new();
        assert_eq!(answer(&zone, &[0; 11], Transport::Udp, 0, &mut buffer), Reply::Nothing);
        let mut response = query("web.infra.example.com.", RecordType::A);
        response.metadata.message_type = MessageType::Response;
        assert_eq!(ask(&zone, &response, Transport::Udp).0, Reply::Nothing);
        let none = Message::query();
        assert_eq!(ask(&zone, &none, Transport::Udp).1.unwrap().response_code, ResponseCode::FormErr);
        let mut notify = query("web.infra.example.com.", RecordType::A);
        notify.metadata.op_code = OpCode::Notify;
        assert_eq!(ask(&zone, &notify, Transport::Udp).1.unwrap().response_code, ResponseCode::NotImp);
        let mut later = query("web.infra.example.com.", RecordType::A);
        let mut edns = Edns::new();
        edns.set_version(1);
        later.set_edns(edns);
        // 16, which in a message that is signed has another name.
        let said = ask(&zone, &later, Transport::Udp).1.unwrap();
        assert_eq!(u16::from(said.response_code), u16::from(ResponseCode::BADVERS));
        // A header that promises more than there is.
        let mut packet = query("web.infra.example.com.", RecordType::A).to_vec().unwrap();
        packet.truncate(20);
        assert_eq!(answer(&zone, &packet, Transport::Udp, 0, &mut buffer), Reply::Malformed);
        let said = Message::from_vec(&buffer).unwrap();
        assert_eq!(
            (said.response_code, said.id.to_be_bytes()),
            (ResponseCode::FormErr, [packet[0], packet[1]])
        );
    }

    #[test]
    fn the_first_address_is_another_one_each_time() {
        let zone = zone(&[("web", "h1"), ("web", "h2")], 7);
        let asked = query("web.infra.example.com.", RecordType::A).to_vec().unwrap();
        let first = |turn| {
            let mut buffer = Vec::new();
            answer(&zone, &asked, Transport::Udp, turn, &mut buffer);
            Message::from_vec(&buffer).unwrap().answers[0].data.to_string()
        };
        assert_eq!([first(0), first(1), first(2)], ["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
    }

    proptest::proptest! {
        #[test]
        fn damaged_packets_are_survived(
            at in 0_usize..60, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80), cut in 0_usize..80,
        ) {
            let zone = zone(&[("web", "h1")], 7);
            let mut packet = query("web.infra.example.com.", RecordType::A).to_vec().unwrap();
            packet.splice(at.min(packet.len()).., bytes);
            packet.truncate(cut.max(12));
            let mut buffer = Vec::new();
            match answer(&zone, &packet, Transport::Udp, 0, &mut buffer) {
                Reply::Answer | Reply::Malformed => {
                    let said = Message::from_vec(&buffer).unwrap();
                    proptest::prop_assert_eq!(said.id.to_be_bytes(), [packet[0], packet[1]]);
                    proptest::prop_assert!(said.message_type == MessageType::Response && buffer.len() <= 1232);
                }
                Reply::Forward | Reply::Nothing => {}
            }
        }
    }
}
