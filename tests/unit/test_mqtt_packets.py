"""Packets are found on a stream, and what a PUBACK says is understood, in MQTT 3.1.1 and 5."""

from feltpost_tools.faults import mqtt_packets
from feltpost_tools.faults.mqtt_packets import PacketKind, Published


def test_packets_are_found_wherever_the_stream_is_cut():
    packets = [
        bytes([0x30, 3]) + b"abc",
        bytes([0x32, 0xAC, 0x02]) + bytes(300),
        bytes([0xC0, 0]),
    ]
    stream = b"".join(packets)
    for cut in range(len(stream)):
        buffer = bytearray(stream[:cut])
        found = list(mqtt_packets.split(buffer))
        buffer += stream[cut:]
        assert found + list(mqtt_packets.split(buffer)) == packets
        assert buffer == b""


def test_a_message_that_nobody_acknowledges_is_none_that_counts():
    publish = b"\x00\x01t" + b"\x00\x07" + b"payload"
    packet = bytes([PacketKind.PUBLISH << 4, len(publish)]) + publish
    assert mqtt_packets.published(packet, mqtt_5=False) is None
    acknowledged = bytes([packet[0] | 1 << 1]) + packet[1:]
    assert mqtt_packets.published(acknowledged, mqtt_5=False) == (7, Published("t", (), b"payload"))


def test_a_refusal_is_no_acknowledgement():
    puback = bytes([PacketKind.PUBACK << 4])
    assert mqtt_packets.acknowledged(puback + b"\x02\x01\x02") == (0x0102, True)
    # 0x10: no subscriber; 0x97: quota exceeded (MQTT 5, section 3.4.2.1).
    assert mqtt_packets.acknowledged(puback + b"\x03\x01\x02\x10") == (0x0102, True)
    assert mqtt_packets.acknowledged(puback + b"\x04\x01\x02\x97\x00") == (0x0102, False)
