#!/usr/bin/env python3
"""Extracts an image from the mount path of a Slipway store, written from docs/format.md alone.

Usage: independent_reader.py MOUNT IMAGE_ID OUTPUT
       independent_reader.py MOUNT --manifest FILE OUTPUT

Needs Python 3 and libzstd or the zstd command. Prints what it verified as one line of JSON; exits with 1 and a sentence when anything
is damaged. xxHash64 in plain Python is slow: meant for small stores.
"""

import ctypes
import ctypes.util
import hashlib
import json
import os
import re
import struct
import subprocess
import sys

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
ZERO_DIGEST = bytes(32)
SLICE_LENGTH_MAX = 4 * 1024 * 1024


class Damaged(Exception):
    pass


def rotl(x, r):
    return ((x << r) | (x >> (64 - r))) & MASK


def xxhash64(data, seed=0):
    n = len(data)
    at = 0
    if n >= 32:
        lanes = [(seed + P1 + P2) & MASK, (seed + P2) & MASK, seed, (seed - P1) & MASK]
        for words in struct.iter_unpack("<4Q", data[: n - n % 32]):
            for i in range(4):
                lanes[i] = rotl((lanes[i] + words[i] * P2) & MASK, 31) * P1 & MASK
        at = n - n % 32
        h = (rotl(lanes[0], 1) + rotl(lanes[1], 7) + rotl(lanes[2], 12) + rotl(lanes[3], 18)) & MASK
        for lane in lanes:
            h = ((h ^ (rotl(lane * P2 & MASK, 31) * P1 & MASK)) * P1 + P4) & MASK
    else:
        h = (seed + P5) & MASK
    h = (h + n) & MASK
    while at + 8 <= n:
        (word,) = struct.unpack_from("<Q", data, at)
        h = (rotl(h ^ (rotl(word * P2 & MASK, 31) * P1 & MASK), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= n:
        (word,) = struct.unpack_from("<I", data, at)
        h = (rotl(h ^ (word * P1 & MASK), 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ (byte * P5 & MASK), 11) * P1 & MASK
    h = ((h ^ (h >> 33)) * P2) & MASK
    h = ((h ^ (h >> 29)) * P3) & MASK
    return h ^ (h >> 32)


def make_unzstd():
    name = ctypes.util.find_library("zstd")
    if name is None:
        return lambda frame, length: subprocess.run(["zstd", "-d", "-c", "-q"], input=frame, stdout=subprocess.PIPE, check=True).stdout
    library = ctypes.CDLL(name)
    library.ZSTD_decompress.restype = ctypes.c_size_t
    library.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]

    def unzstd(frame, length):
        into = ctypes.create_string_buffer(length)
        filled = library.ZSTD_decompress(into, length, frame, len(frame))
        if library.ZSTD_isError(filled):
            raise Damaged("a zstd frame does not unpack")
        return into.raw[:filled]

    return unzstd


def read_header(pack, at):
    """Codec, length, stored length, checksum and digest of the record at this place, or None."""
    if at + 64 > len(pack) or pack[at : at + 4] != b"SLR1":
        return None
    codec, length, stored, checksum, digest, check = struct.unpack_from("<IIIQ32sQ", pack, at + 4)
    if check != xxhash64(pack[at : at + 56]):
        return None
    if codec not in (0, 1) or not 1 <= length <= SLICE_LENGTH_MAX or stored > length:
        return None
    return codec, length, stored, checksum, digest


def read_table(pack):
    """Offset and digest of every record by the table of contents, or None when the pack is not sealed."""
    if len(pack) < 16 + 32 or pack[-32:-24] != b"SLIPWAYT":
        return None
    offset, checksum, count, check = struct.unpack("<QQII", pack[-24:])
    if check != xxhash64(pack[-32:-4]) & 0xFFFFFFFF or offset + count * 48 + 32 != len(pack):
        return None
    table = pack[offset : len(pack) - 32]
    if xxhash64(table) != checksum:
        return None
    at, records = 16, []
    for digest, position, length, stored in struct.iter_unpack("<32sQII", table):
        header = read_header(pack, position)
        if position != at or header is None or (header[1], header[2], header[4]) != (length, stored, digest):
            return None
        records.append((position, digest))
        at += 64 + stored
    return records if at == offset else None


def walk(pack):
    """Offset and digest of every record, one after the other, passing over damage."""
    at = 16
    while at < len(pack):
        header = read_header(pack, at)
        if header and at + 64 + header[2] <= len(pack):
            yield at, header[4]
            at += 64 + header[2]
            continue
        at = pack.find(b"SLR1", at + 1)
        if at == -1:
            return


def find_records(mount):
    """Where each slice may be read: digest to places, those in quarantine left out."""
    quarantined = set()
    folder = os.path.join(mount, "quarantine")
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.endswith(".slice.json"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                entry = json.load(file)
            quarantined.add((bytes.fromhex(entry["digest"][7:]), entry["pack"], entry["offset"]))
    packs, places = {}, {}
    for part in sorted(os.listdir(os.path.join(mount, "packs"))):
        for name in sorted(os.listdir(os.path.join(mount, "packs", part))):
            if not re.fullmatch(r"[0-9a-f]{32}\.pack", name) or not name.startswith(part):
                continue
            with open(os.path.join(mount, "packs", part, name), "rb") as file:
                pack = file.read()
            if pack[:12] != b"SLIPWAYP" + struct.pack("<I", 1):
                continue
            packs[name[:32]] = pack
            for offset, digest in read_table(pack) or walk(pack):
                if (digest, name[:32], offset) not in quarantined:
                    places.setdefault(digest, []).append((name[:32], offset))
    return packs, places


def read_slice(packs, places, digest, unzstd):
    faults = []
    for name, offset in places.get(digest, []):
        header = read_header(packs[name], offset)
        if header is None or header[4] != digest:
            faults.append("no such record")
            continue
        codec, length, stored_length, checksum, _ = header
        stored = packs[name][offset + 64 : offset + 64 + stored_length]
        if len(stored) != stored_length or xxhash64(stored) != checksum:
            faults.append("checksum")
            continue
        data = unzstd(stored, length) if codec == 1 else stored
        if len(data) != length or hashlib.sha256(data).digest() != digest:
            faults.append("digest")
            continue
        return data
    raise Damaged("slice %s cannot be read (%s)" % (digest.hex(), ", ".join(faults) or "no pack has it"))


def read_manifest(data):
    if len(data) < 64 or data[:8] != b"SLIPWAYM":
        raise Damaged("the manifest is no manifest")
    version, count, _, length = struct.unpack_from("<IQIQ", data, 8)
    if version != 1 or len(data) != 32 + count * 40 + 32:
        raise Damaged("the manifest has another version or length")
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise Damaged("the digest of the manifest does not match")
    rows = [struct.unpack_from("<Q32s", data, 32 + i * 40) for i in range(count)]
    ends = [row[0] for row in rows[1:]] + [length]
    if (rows[0][0] if rows else length) != 0 or any(end <= row[0] for row, end in zip(rows, ends)):
        raise Damaged("the offsets of the manifest do not rise")
    return length, [(end - row[0], row[1]) for row, end in zip(rows, ends)], "sha256:" + data[-32:].hex()


def read_image_file(data):
    found = re.fullmatch(rb'\{"format":1,"digest":"(sha256:[0-9a-f]{64})","image":(.*)\}\n', data, re.DOTALL)
    if not found or "sha256:" + hashlib.sha256(found.group(2)).hexdigest() != found.group(1).decode():
        raise Damaged("image.json is damaged")
    return json.loads(found.group(2))


def main(arguments):
    mount, image_id, *rest = arguments
    with open(os.path.join(mount, "store.json"), encoding="utf-8") as file:
        if json.load(file)["format"] != 1:
            raise Damaged("the store has another format")
    image = None
    path = os.path.join(mount, "images", image_id, "manifest")
    if image_id == "--manifest":
        path, *rest = rest
    else:
        with open(os.path.join(mount, "images", image_id, "image.json"), "rb") as file:
            image = read_image_file(file.read())
    with open(path, "rb") as file:
        length, entries, manifest_digest = read_manifest(file.read())
    if image and (image["manifestDigest"] != manifest_digest or image["length"] != length or image["id"] != image_id):
        raise Damaged("image.json names another manifest")

    packs, places = find_records(mount)
    unzstd = make_unzstd()
    whole = hashlib.sha256()
    with open(rest[0], "wb") as output:
        for size, digest in entries:
            data = bytes(size) if digest == ZERO_DIGEST else read_slice(packs, places, digest, unzstd)
            if len(data) != size:
                raise Damaged("slice %s is not as long as the manifest says" % digest.hex())
            output.write(data)
            whole.update(data)
    digest = "sha256:" + whole.hexdigest()
    if image and image["digest"] not in (None, digest):
        raise Damaged("the image is whole by its slices, and its digest is another")
    print(json.dumps({"length": length, "digest": digest, "manifestDigest": manifest_digest, "slices": len(places), "packs": len(packs)}))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        main(sys.argv[1:])
    except Damaged as damage:
        sys.exit("damaged: %s" % damage)
