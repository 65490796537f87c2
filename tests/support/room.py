"""A room, as sensors on an I2C bus find it."""

ROOM = {
    "co2": 749.2,
    "temperature": 23.7,
    "relativeHumidity": 26.272,
    "illuminance": 585.2,
    "atmosphericPressure": 1013.25,
    "distance": 1.234,
    "voltage.0": 3.3,
    "voltage.1": 1.25,
    "voltage.2": 0.0042,
    "voltage.3": 2.5,
    # What follows from them: the chip takes the difference itself.
    "voltage.0-1": 2.05,
    "voltage.0-3": 0.8,
    "voltage.1-3": -1.25,
    "voltage.2-3": -2.4958,
}
