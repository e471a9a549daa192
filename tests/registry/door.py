"""Asks the registry over HTTPS, as registry clients do, and compares what it answers."""

import argparse
import base64
import http.client
import json
import ssl
import urllib.parse


class Door:
    """One connection, kept alive."""

    def __init__(self, address, ca, cert=None, key=None, basic=None):
        host, port = address.rsplit(":", 1)
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(cert, key)
        self.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
        self.headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if basic:
            self.headers["Authorization"] = "Basic " + base64.b64encode(basic.encode()).decode()

    def ask(self, method, path, body=None, media="application/vnd.schemaregistry.v1+json"):
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        headers = dict(self.headers)
        if data is not None:
            headers["Content-Type"] = media
        self.connection.request(method, path, body=data, headers=headers)
        response = self.connection.getresponse()
        text = response.read().decode()
        kind = response.headers.get("Content-Type")
        assert kind == "application/vnd.schemaregistry.v1+json", f"{method} {path}: content type {kind}: {text}"
        return response.status, json.loads(text)

    def expect(self, method, path, status, expected=None, body=None):
        """An answer with this status; of an error the code, of an object the members named, of all else the whole."""
        found, answer = self.ask(method, path, body)
        shown = f"{method} {path}: {found} {json.dumps(answer, ensure_ascii=False)[:600]}"
        assert found == status, f"{shown}; expected status {status}"
        if status >= 400:
            assert set(answer) == {"error_code", "message"} and answer["message"], shown
            assert answer["error_code"] == expected, f"{shown}; expected code {expected}"
        elif isinstance(expected, dict):
            for name, value in expected.items():
                assert answer.get(name) == value, f"{shown}; expected {name} = {value!r}"
        elif expected is not None:
            assert answer == expected, f"{shown}; expected {expected!r}"
        return answer


def parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--registry", required=True, help="host:port of the REST interface")
    parser.add_argument("--ca", required=True)
    parser.add_argument("--cert", help="certificate of an operator")
    parser.add_argument("--key")
    parser.add_argument("--system-cert", help="certificate of a department system")
    parser.add_argument("--system-key")
    parser.add_argument("--basic", help="name:secret")
    parser.add_argument("--bootstrap", help="a Kafka broker")
    return parser


def arguments():
    return parser().parse_args()


def quoted(subject):
    return urllib.parse.quote(subject, safe="")
