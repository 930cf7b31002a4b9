"""Gap records, as somebody verifies them who knows their form alone."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def gaps(server, store, upstream):
    """The details of the gap records of an upstream, each with a signature that is right."""
    found = server.records(store, "eventname = 'RecordingGap'")
    for record in found:
        details = record["serviceEventDetails"]
        lines = ["towpath-gap-1", *(record[name] for name in ("eventID", "recipientAccountId", "awsRegion"))]
        lines += [str(details[name]) for name in ("gateway", "upstream", "reason", "from", "to", "atLeast")]
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(details["publicKey"]))
        key.verify(base64.b64decode(details["signature"]), "".join(f"{line}\n" for line in lines).encode())
    return [record["serviceEventDetails"] for record in found if record["serviceEventDetails"]["upstream"] == upstream]
