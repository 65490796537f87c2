"""Events, and the reasons of gaps, in the operator's language."""

from datetime import datetime

from feltpost_gateway.events import Event, EventKind
from feltpost_gateway.texts import Text, text
from feltpost_gateway.transaction import GapReason

_SENSOR_FAULTS = {
    "1": text("does not respond"),
    "2": text("is another chip than expected"),
    "3": text("sends bad checksums"),
    "4": text("is never ready"),
    "5": text("is out of range"),
    "6": text("can't be written"),
}
_OTHER_FAULT = text("has a fault")

_GAP_REASONS = {
    GapReason.UNSEEN: text("may still come"),
    GapReason.JOURNAL_FULL: text("journal full"),
    GapReason.PAGE_CORRUPT: text("page corrupt"),
    GapReason.REJECTED: text("rejected"),
    GapReason.LOST_WITH_POWER: text("lost with power"),
    GapReason.UNREADABLE: text("unreadable here"),
    GapReason.EVICTED: text("given up here, disk full"),
    GapReason.DAMAGED: text("lost here, store damaged"),
}


def gap_reason(reason: GapReason) -> str:
    """Return why readings are missing, in a few words."""
    return str(_GAP_REASONS[reason])


def local_time(time_ms: int | None) -> str:
    """Return a time as people here write it, to the minute; a dash for none."""
    if time_ms is None:
        return "–"
    return datetime.fromtimestamp(time_ms / 1000).strftime("%Y-%m-%d %H:%M")


def describe(event: Event) -> str:
    """Return what is wrong, and what to do where that is not plain."""
    return str(_describe(event))


def _describe(event: Event) -> Text:
    value, part = event.value, event.subject.part
    match event.subject.kind:
        case EventKind.SILENT if value:
            return text(
                "silent; usually heard every {minutes} min. Look at its power and its link",
                minutes=max(1, round(int(value) / 60)),
            )
        case EventKind.SILENT:
            return text("silent since its first contact. Look at its power and its link")
        case EventKind.BATTERY_LOW:
            return text("battery low: {value}", value=value)
        case EventKind.SENSOR_FAULT:
            fault = _SENSOR_FAULTS.get(value, _OTHER_FAULT)
            return text("sensor {sensor} {fault}", sensor=part, fault=str(fault))
        case EventKind.CLOCK_UNSURE:
            return text("does not learn the time: its readings are dated by what is known of them")
        case EventKind.JOURNAL_FILLING:
            return text(
                "journal {percent} % full: it can't send as fast as it measures", percent=value
            )
        case EventKind.CRASHED:
            return text("crashed: {traceback}", traceback=value)
        case EventKind.SAFE_MODE:
            return text("in safe mode after many bad starts; it measures nothing")
        case EventKind.MISCONFIGURED:
            return text("configuration: {problems}", problems=value)
        case EventKind.CLOCK_NOT_SET:
            return text("the gateway's clock is not set. Look at its time service")
        case EventKind.STORE_FILLING:
            return text(
                "the store is {percent} % full of readings that a destination lacks", percent=value
            )
        case EventKind.STORE_FULL:
            return text("the store is full: make room on the disk, or raise max_size_mib")
        case EventKind.DESTINATION_STUCK:
            return text(
                "destination {name} takes nothing; the oldest reading waits since {time}",
                name=part,
                time=local_time(int(value)),
            )
        case EventKind.REFUSED:
            return text(
                "destination {name} refused {count} messages for good. See: destinations --refused",
                name=part,
                count=value,
            )
        case EventKind.CERTIFICATE_EXPIRING:
            return text("{certificate} ends on {day}. Renew it", certificate=part, day=value)
