"""The Confluent client for Python, unchanged: serializer and deserializer through a real broker and our registry."""

import json
import sys
import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

from door import arguments

NAME = {"type": "string", "maxLength": 40, "x-ldop-element": "person.full-name"}
SEX = {"type": "string", "x-ldop-element": "person.sex"}


def schema(properties, required=("full_name",)):
    return json.dumps({
        "$schema": "http://json-schema.org/draft-07/schema#", "title": "Person", "type": "object",
        "properties": properties, "required": list(required), "additionalProperties": False,
    })


def main():
    options = arguments()
    by_certificate = {"url": f"https://{options.registry}", "ssl.ca.location": options.ca,
                      "ssl.certificate.location": options.cert, "ssl.key.location": options.key}
    by_name = {"url": f"https://{options.registry}", "ssl.ca.location": options.ca,
               "basic.auth.user.info": options.basic}
    topic = f"people-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": options.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    context = SerializationContext(topic, MessageField.VALUE)
    producer = Producer({"bootstrap.servers": options.bootstrap})
    client = SchemaRegistryClient(by_certificate)

    # A producer registers on its own; a second one, known by name and secret, finds the same id.
    first = schema({"full_name": NAME})
    written = []
    for settings in [by_certificate, by_name]:
        serializer = JSONSerializer(first, SchemaRegistryClient(settings))
        written.append(serializer({"full_name": "Nguyễn Văn An"}, context))
        producer.produce(topic, written[-1])
    assert written[0] == written[1], "one content, one id"
    assert written[0][0] == 0, "magic byte"
    identity = int.from_bytes(written[0][1:5], "big")
    assert client.get_schema(identity).schema_str == first

    # What does not fit the schema is refused by the producer's own serializer.
    try:
        JSONSerializer(first, client)({"full_name": 7}, context)
        sys.exit("a number was taken for a name")
    except (SerializationError, ValueError):
        pass

    # A schema with a property of no element is refused by the registry, and told where.
    try:
        JSONSerializer(schema({"full_name": NAME, "nick": {"type": "string"}}), client)({"full_name": "x"}, context)
        sys.exit("an unbound property was registered")
    except SchemaRegistryError as error:
        assert error.error_code == 42201 and "/properties/nick" in error.error_message, error

    # Evolution: a further property, optional. Readers of the first version go on under FORWARD-less settings.
    client.set_compatibility(subject_name=f"{topic}-value", level="BACKWARD")
    second = schema({"full_name": NAME, "sex": SEX})
    serializer = JSONSerializer(second, client)
    producer.produce(topic, serializer({"full_name": "Trần Thị Bình", "sex": "1"}, context))
    latest = client.get_latest_version(f"{topic}-value")
    assert latest.version == 2 and latest.schema.schema_str == second, latest

    # A change that old records do not fit is refused: a second property becomes required.
    try:
        JSONSerializer(schema({"full_name": NAME, "sex": SEX}, ["full_name", "sex"]), client)({}, context)
        sys.exit("an incompatible schema was registered")
    except SchemaRegistryError as error:
        assert error.http_status_code == 409, error
    assert not client.test_compatibility(f"{topic}-value", Schema(schema({"full_name": NAME}, ["full_name", "sex"]), "JSON"))
    assert client.test_compatibility(f"{topic}-value", Schema(second, "JSON"))
    producer.flush(30)

    consumer = Consumer({"bootstrap.servers": options.bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    deserializer = JSONDeserializer(None, schema_registry_client=SchemaRegistryClient(by_name))
    people = []
    while len(people) < 3:
        message = consumer.poll(30)
        assert message is not None and not message.error(), message
        people.append(deserializer(message.value(), context))
    consumer.close()
    assert people == [{"full_name": "Nguyễn Văn An"}] * 2 + [{"full_name": "Trần Thị Bình", "sex": "1"}], people

    # A serializer that must not register finds what is there, and nothing else.
    settled = {"auto.register.schemas": False}
    JSONSerializer(second, client, conf=settled)({"full_name": "x"}, context)
    JSONSerializer(second, client, conf={**settled, "use.latest.version": True})({"full_name": "x"}, context)
    assert client.get_versions(f"{topic}-value") == [1, 2]
    assert client.delete_subject(f"{topic}-value") == [1, 2]
    print("serializer, evolution, refusal and deserializer work through a broker")


if __name__ == "__main__":
    main()
