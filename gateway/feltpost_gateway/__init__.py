"""The Feltpost gateway: takes custody of readings from nodes and forwards them to MQTT brokers."""
