"""Signatures count only if one of our keys made them for exactly this digest; each way to be wrong is refused (B18)."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path

import pytest
from support.interpreters import python
from support.signature_factory import (
    DIGEST,
    OTHER,
    PRIVATE,
    N,
    bundle_of,
    der,
    document_of,
    encoded,
    integer,
    key_of,
    numbers,
    pae,
    pem_of,
    sequence,
    statement_of,
)

from bundler.runtime import p256
from bundler.runtime.errors import ContentError, TrustError, UsageError
from bundler.runtime.signatures import BUNDLE_TYPE, find_signature, pre_authentication_encoding, verify_signature

KEY = key_of(PRIVATE)
PEM = pem_of(PRIVATE)
PAYLOAD = json.dumps(statement_of()).encode()
R, S = numbers(pae(PAYLOAD))


def test_a_signature_of_the_digest_by_a_key_is_by_that_key():
    assert verify_signature(bundle_of(), DIGEST, [KEY], "here") == KEY
    assert find_signature([("here", bundle_of())], DIGEST, [key_of(OTHER), KEY]) == KEY


def test_any_of_several_signatures_and_keys_will_do_so_that_keys_can_be_changed():
    old, new = bundle_of(private=OTHER), bundle_of()
    for trusted in ([KEY], [key_of(OTHER)], [KEY, key_of(OTHER)]):
        assert find_signature([("old", old), ("new", new)], DIGEST, trusted) in trusted


def test_what_cosign_writes_beside_the_signature_changes_nothing():
    statement = statement_of()
    statement["subject"][0].update(name="registry/image", annotations={"commit": "1234"})
    document = document_of(json.dumps(statement, indent=1).encode())
    document["verificationMaterial"]["tlogEntries"] = [{"logIndex": "1", "inclusionProof": {"hashes": ["AA=="]}}]
    document["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": []}
    assert verify_signature(json.dumps(document).encode(), DIGEST, [KEY], "here") == KEY


def changed(path, value):
    """Return a right signature with *value* at *path* of the Sigstore bundle."""
    document = copy.deepcopy(document_of(PAYLOAD))
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return json.dumps(document).encode()


def signed(**changes):
    """Return a signature, right in itself, of a statement that says something else."""
    return json.dumps(document_of({**statement_of(), **changes})).encode()


def with_signature(value):
    return json.dumps(document_of(PAYLOAD, signature=value)).encode()


ENVELOPE = "dsseEnvelope"
SIG = (ENVELOPE, "signatures", 0, "sig")

REFUSED = {
    # who
    "another key": (bundle_of(private=OTHER), "is by another key"),
    "another digest": (bundle_of("sha256:" + "cd" * 32), "is not the digest of this bundle; got sha256:cdcd"),
    # DER
    "r = 0": (with_signature(der(0, S)), "r or s out of range"),
    "s = 0": (with_signature(der(R, 0)), "r or s out of range"),
    "r = n": (with_signature(der(N, S)), "r or s out of range"),
    "s = n": (with_signature(der(R, N)), "r or s out of range"),
    "r + n": (with_signature(der(R + N, S)), "not minimal DER|out of range"),
    "s + n": (with_signature(der(R, S + N)), "not minimal DER|out of range"),
    "r = n + 1": (with_signature(der(N + 1, S)), "r or s out of range"),
    "the larger s": (with_signature(der(R, N - S)), "is malleable"),
    "negative r": (with_signature(sequence(b"\x02\x01\xff", integer(S))), "not minimal DER"),
    "negative s": (with_signature(sequence(integer(R), b"\x02\x20" + b"\xff" * 32)), "not minimal DER"),
    "a zero in front of r": (with_signature(sequence(integer(R, 34), integer(S))), "not minimal DER"),
    "a zero in front of s": (with_signature(sequence(integer(R), integer(S, 34))), "not minimal DER"),
    "a byte behind": (with_signature(der(R, S) + b"\x00"), "not minimal DER"),
    "a byte in the sequence": (with_signature(sequence(integer(R), integer(S), b"\x00")), "not minimal DER"),
    "a third number": (with_signature(sequence(integer(R), integer(S), integer(1))), "not minimal DER"),
    "a long length": (with_signature(b"\x30\x81" + der(R, S)[1:]), "not minimal DER"),
    "no length": (with_signature(b"\x30\x80" + der(R, S)[2:] + b"\x00\x00"), "not minimal DER"),
    "an empty number": (with_signature(sequence(b"\x02\x00", integer(S))), "not minimal DER"),
    "another tag": (with_signature(b"\x31" + der(R, S)[1:]), "not minimal DER"),
    "cut short": (with_signature(der(R, S)[:-1]), "not minimal DER"),
    "one byte": (with_signature(b"\x30"), "not minimal DER"),
    "raw r and s": (with_signature(R.to_bytes(32, "big") + S.to_bytes(32, "big")), "not minimal DER"),
    "much too long": (with_signature(sequence(b"\x02\x78" + b"\x01" * 120)), "not minimal DER"),
    "r and s exchanged": (with_signature(der(S, R) if R <= N // 2 else der(S, N - R)), "is by another key"),
    # base64
    "base64 without padding": (changed(SIG, "MAA"), "is not canonical base64"),
    "base64 with too much padding": (changed(SIG, "MAA=="), "is not canonical base64"),
    "base64 with loose bits": (changed(SIG, "MAB="), "is not canonical base64"),
    "base64 with white space": (changed(SIG, encoded(der(R, S)) + "\n"), "is not canonical base64"),
    "base64 with junk": (changed(SIG, "!" + encoded(der(R, S))), "is not canonical base64"),
    "base64url": (changed((ENVELOPE, "payload"), encoded(PAYLOAD + b"\xff\xff\xff")[:-4] + "____"), "canonical base64"),
    "no signature in the signature": (changed(SIG, ""), "is not canonical base64"),
    "a number for base64": (changed(SIG, 7), "wrong type"),
    # envelope
    "another payload type": (changed((ENVELOPE, "payloadType"), "text/plain"), "is another; got text/plain"),
    "another payload type, signed": (
        json.dumps(document_of(PAYLOAD, payload_type="application/json")).encode(),
        "payloadType: is another",
    ),
    "no signatures": (changed((ENVELOPE, "signatures"), []), "are not exactly one; got 0"),
    "two signatures": (changed((ENVELOPE, "signatures"), [{"sig": encoded(der(R, S))}] * 2), "not exactly one; got 2"),
    "an unknown field of the envelope": (changed((ENVELOPE, "alg"), "none"), "alg: is an unknown field"),
    "an unknown field of the signature": (changed((*SIG[:-1], "alg"), "none"), "alg: is an unknown field"),
    "another payload": (changed((ENVELOPE, "payload"), encoded(PAYLOAD + b" ")), "is by another key"),
    # bundle
    "another media type": (changed(("mediaType",), BUNDLE_TYPE.replace("0.3", "0.2")), "mediaType: is another"),
    "no media type": (changed(("mediaType",), None), "mediaType: has the wrong type"),
    "a certificate": (
        changed(("verificationMaterial",), {"certificate": {"rawBytes": "AA=="}}),
        "certificate: is an unknown field",
    ),
    "a certificate beside the key": (
        changed(("verificationMaterial", "certificate"), {"rawBytes": "AA=="}),
        "certificate: is an unknown field",
    ),
    "no key": (changed(("verificationMaterial",), {}), "publicKey: is not an object"),
    "a message signature": (changed(("messageSignature",), {}), "messageSignature: is an unknown field"),
    "no envelope": (changed((ENVELOPE,), None), "dsseEnvelope: is not an object"),
    # statement
    "another statement type": (signed(_type="https://in-toto.io/Statement/v0.1"), "_type: is another"),
    "an attestation": (signed(predicateType="https://slsa.dev/provenance/v1"), "predicateType: is another"),
    "no subject": (signed(subject=[]), "subject: is not exactly one; got 0"),
    "two subjects": (signed(subject=statement_of()["subject"] * 2), "subject: is not exactly one; got 2"),
    "no digest": (signed(subject=[{"name": "x"}]), "digest: has the wrong type"),
    "two digests": (
        signed(subject=[{"digest": {"sha256": DIGEST[7:], "sha512": "00"}}]),
        "is not the digest of this bundle; got sha256, sha512",
    ),
    "another algorithm": (signed(subject=[{"digest": {"sha1": "00"}}]), "is not the digest of this bundle; got sha1"),
    "upper case": (signed(subject=[{"digest": {"sha256": DIGEST[7:].upper()}}]), "is not the digest of this bundle"),
    "a list for a digest": (signed(subject=[{"digest": {"sha256": [DIGEST[7:]]}}]), "is not the digest of this bundle"),
    "an unknown field of the statement": (signed(also="this"), "also: is an unknown field"),
    "a payload that is no JSON": (json.dumps(document_of(b"sha256")).encode(), "payload: is not strict JSON"),
    "a payload with a key twice": (
        json.dumps(document_of(PAYLOAD[:-1] + b',"_type":"x"}')).encode(),
        "payload: is not strict JSON: duplicate key",
    ),
    # JSON
    "a key twice": (bundle_of()[:-1] + b',"mediaType":"x"}', "is not strict JSON: duplicate key"),
    "a byte order mark": (b"\xef\xbb\xbf" + bundle_of(), "is not plain UTF-8"),
    "no JSON": (b"-----BEGIN", "is not strict JSON"),
    "nothing": (b"", "is not strict JSON"),
    "a list": (b"[]", "is not an object"),
    "too large": (bundle_of()[:-1] + b" " * 65536 + b"}", "is too large"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_b18_is_refused(data, message):
    with pytest.raises(TrustError, match=message) as caught:
        find_signature([("sig.json", data)], DIGEST, [KEY], "deps.pyz")
    assert (caught.value.rule, caught.value.exit_code) == ("B18", 4)
    assert "sig.json" in str(caught.value)
    assert f"want a signature of {DIGEST} by {KEY.fingerprint} (release.pub)" in str(caught.value)


def test_b18_a_missing_signature_is_refused():
    with pytest.raises(TrustError, match=r"deps.pyz: is not signed; want a signature of sha256:abab"):
        find_signature([], DIGEST, [KEY], "deps.pyz")


def test_b18_says_of_each_signature_why_it_does_not_count():
    found = [("first", bundle_of(private=OTHER)), ("second", bundle_of("sha256:" + "cd" * 32)), ("third", b"{")]
    with pytest.raises(TrustError) as caught:
        find_signature(found, DIGEST, [KEY])
    lines = str(caught.value).splitlines()
    places = [line.split(":")[0].split(".")[0].strip() for line in lines]
    assert places == [
        "bundle",
        "first",
        "second",
        "third",
        "hint",
    ]


def test_b18_without_a_key_nothing_is_valid():
    with pytest.raises(UsageError, match="cannot be verified without a public key"):
        verify_signature(bundle_of(), DIGEST, [], "here")


def test_b18_any_flipped_bit_of_a_signature_is_found_or_lies_in_the_hint_that_nobody_believes():
    data = bundle_of()
    hint = data.index(b"a key")
    keyid = data.index(b'"keyid": "') + len(b'"keyid": "')
    for at in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            try:
                verify_signature(bytes(flipped), DIGEST, [KEY], "here")
            except (ContentError, TrustError):
                continue
            blank = data[at : at + 1] in b" \n" and bytes(flipped[at : at + 1]) in b" \n\r\t"
            assert hint <= at < hint + 5 or at == keyid or blank, f"bit {bit} of byte {at}"


# As others have it


def test_the_bytes_that_are_signed_are_those_of_dsse():
    assert pre_authentication_encoding(PAYLOAD) == pae(PAYLOAD)


def test_agrees_with_openssl(tmp_path):
    (tmp_path / "k.pub").write_bytes(PEM)
    (tmp_path / "payload").write_bytes(pre_authentication_encoding(PAYLOAD))
    (tmp_path / "sig").write_bytes(der(R, S))
    command = ["openssl", "dgst", "-sha256", "-verify", "k.pub", "-signature", "sig", "payload"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.stdout == "Verified OK\n"


VERIFY = """
import sys, json, time
sys.path.insert(0, sys.argv[1])
from runtime.errors import BundleError
from runtime.keys import parse_keys
from runtime.signatures import find_signature
given = json.load(sys.stdin)
keys = parse_keys(given["key"])
said = []
for text in given["signatures"]:
    try:
        said.append(find_signature([("here", text.encode())], given["digest"], keys).fingerprint)
    except BundleError as error:
        said.append([error.exit_code, str(error)])
started = time.perf_counter()
for _ in range(10):
    find_signature([("here", given["signatures"][0].encode())], given["digest"], keys)
print(json.dumps({"said": said, "milliseconds": (time.perf_counter() - started) * 100}))
"""


@pytest.mark.parametrize("version", ["3.7", "3.13"])
def test_every_python_says_the_same_in_a_few_milliseconds(version):
    texts = [bundle_of().decode()]
    texts += [data.decode() for data, _ in REFUSED.values() if not data.startswith(b"\xef")]
    answer = subprocess.run(
        [python(version), "-I", "-S", "-W", "error", "-c", VERIFY, Path(p256.__file__).parents[1]],
        input=json.dumps({"key": PEM.decode(), "digest": DIGEST, "signatures": texts}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stderr == ""
    facts = json.loads(answer.stdout)
    assert facts["said"][0] == KEY.fingerprint
    assert [said[0] for said in facts["said"][1:]] == [4] * (len(texts) - 1)
    assert facts["milliseconds"] < 50, "one signature takes about 2 ms"
