"""The design of the service: what the API specification, the event catalogue and the code are all rendered from."""
