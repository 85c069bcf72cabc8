"""The account of a ping, and its packets."""

import struct

from bgpd.lab.ping import PingAccount, checksum, decode_reply, encode_request

IP_HEADER = b"\x45" + bytes(19)


def test_every_answer_in_time_leaves_no_loss():
    account = PingAccount(0.0)
    for n in range(10):
        sequence = account.next_sequence(n * 0.1)
        account.handle_reply(sequence, n * 0.1 + 0.01)
    report = account.finish()
    assert (report.sent, report.received, report.lost) == (10, 10, ())
    assert report.longest_gap_ms == 100


def test_lost_probes_are_named_and_the_silence_is_measured():
    account = PingAccount(0.0)
    for n in range(10):
        sequence = account.next_sequence(n * 0.1)
        if n not in (3, 4, 5):
            account.handle_reply(sequence, n * 0.1)
    report = account.finish()
    assert report.lost == (3, 4, 5)
    assert report.lost_count == 3
    assert report.longest_gap_ms == 400


def test_silence_at_the_end_counts():
    account = PingAccount(0.0)
    account.handle_reply(account.next_sequence(0.0), 0.0)
    for n in range(1, 6):
        account.next_sequence(float(n))
    assert account.finish().longest_gap_ms == 5000


def test_repeated_and_unknown_answers_count_nothing():
    account = PingAccount(0.0)
    sequence = account.next_sequence(0.0)
    for _ in range(3):
        account.handle_reply(sequence, 0.1)
    account.handle_reply(77, 0.1)
    assert account.finish().received == 1


def test_an_account_of_nothing_is_empty():
    report = PingAccount(5.0).finish()
    assert (report.sent, report.received, report.longest_gap_ms) == (0, 0, 0)


def test_checksum_of_a_message_with_its_checksum_is_zero():
    assert checksum(encode_request(4, 7, 0, 70000)) == 0
    assert checksum(b"\x01") == 0xFEFF


def test_a_reply_gives_back_target_and_sequence():
    request = bytearray(encode_request(4, 7, 3, 70000))
    request[0] = 0  # echo reply
    assert decode_reply(4, 7, IP_HEADER + request) == (3, 70000)
    request6 = bytearray(encode_request(6, 7, 2, 5))
    request6[0] = 129
    assert decode_reply(6, 7, bytes(request6)) == (2, 5)


def test_packets_of_others_are_not_ours():
    request = encode_request(4, 7, 3, 1)
    assert decode_reply(4, 7, IP_HEADER + request) is None  # a request, not a reply
    reply = b"\0" + request[1:]
    assert decode_reply(4, 8, IP_HEADER + reply) is None  # another pinger's
    assert decode_reply(4, 7, IP_HEADER + reply[:10]) is None
    assert decode_reply(4, 7, b"") is None
    unreachable = struct.pack("!BBHI", 3, 0, 0, 0) + IP_HEADER + request
    assert decode_reply(4, 7, IP_HEADER + unreachable) is None
