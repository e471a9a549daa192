"""The Confluent client for Python, unchanged, on the topic of a dataset of the Confluent wire format.

`write` frames the records of a file with a serializer and prints them as hexadecimal lines; `read` reads the hub's own topic
with a deserializer and prints the records as JSON lines."""

import json
import sys

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from door import parser


def write(options, client):
    registered = client.get_latest_version(options.subject)
    context = SerializationContext(options.topic, MessageField.VALUE)
    # Registers the text under the subject it names after the topic: one content, one id.
    serializer = JSONSerializer(registered.schema.schema_str, client)
    with open(options.records, encoding="utf-8") as records:
        for line in records:
            value = serializer(json.loads(line), context)
            assert int.from_bytes(value[1:5], "big") == registered.schema_id, "one content, one id"
            print(value.hex())


def read(options, client):
    context = SerializationContext(options.topic, MessageField.VALUE)
    deserializer = JSONDeserializer(None, schema_registry_client=client)
    consumer = Consumer({"bootstrap.servers": options.bootstrap, "group.id": "reads-the-topic",
                         "auto.offset.reset": "earliest"})
    consumer.subscribe([options.topic])
    found = 0
    while found < options.count:
        message = consumer.poll(30)
        assert message is not None and not message.error(), f"{found} records, then {message and message.error()}"
        record = deserializer(message.value(), context)
        # The hub's own marks have no value.
        if record is not None:
            found += 1
            print(json.dumps(record))
    consumer.close()


def main():
    arguments = parser()
    arguments.add_argument("way", choices=["write", "read"])
    arguments.add_argument("--topic", required=True)
    arguments.add_argument("--subject", help="subject of the dataset's schema")
    arguments.add_argument("--records", help="file of JSON lines")
    arguments.add_argument("--count", type=int, help="records to read")
    options = arguments.parse_args()
    client = SchemaRegistryClient({"url": f"https://{options.registry}", "ssl.ca.location": options.ca,
                                   "basic.auth.user.info": options.basic})
    {"write": write, "read": read}[options.way](options, client)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
