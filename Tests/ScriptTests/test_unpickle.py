"""The pickle machine: what it reads, and what it must not do."""
import collections
import os
import pickle
import random as plain_random
import struct
import unittest

import numpy as np
from support import FileTestCase, aligned, torch_stream, torch_zip

from carat_formats import pickle_file
from carat_formats.errors import FormatError
from carat_formats.mapped import Workspace
from carat_formats.plain_objects import PickledArray
from carat_formats.torch_objects import TORCH
from carat_formats.unpickle import Unpickler


def load(data: bytes) -> object:
    return Unpickler(memoryview(data), "file", TORCH, Workspace()).load()


class Call:
    """An object whose pickle asks for a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> object:
        return self.function, self.arguments


class PlainDataTests(unittest.TestCase):
    def test_every_protocol(self) -> None:
        x = np.random.default_rng(1).standard_normal((40, 7, 3)).astype(np.float32)
        objects = np.empty(2, object)
        objects[:] = [x[0], x[1, :2]]
        content = {"c": x, "fortran": np.asfortranarray(x), "big": x.astype(">f8"), "half": x.astype(np.float16),
                   "objects": objects, "names": np.array(["ab", "c"]), "empty": x[:0], "number": np.float32(3.5),
                   "list": [1, -2, 300, 70000, 2**40, -2**80, 2.5, "s", "ü" * 200, b"b" * 500, None, True, (1, 2), {1, 2}],
                   "ordered": collections.OrderedDict(q=1), "default": collections.defaultdict(list, {1: [2]})}
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with self.subTest(protocol=protocol):
                read = load(pickle.dumps(content, protocol=protocol))
                for key in ("c", "fortran", "big", "half", "empty"):
                    self.assertIsInstance(read[key], PickledArray)
                    np.testing.assert_array_equal(read[key].array(), content[key])
                np.testing.assert_array_equal(read["objects"].array()[1].array(), x[1, :2])
                self.assertEqual(list(read["names"].array()), ["ab", "c"])
                self.assertEqual(read["list"][:8], content["list"][:8])
                self.assertEqual(read["number"], 3.5)
                self.assertEqual((read["ordered"], read["default"]), ({"q": 1}, {1: [2]}))

    def test_strings_of_python_2(self) -> None:
        raw = np.arange(400, dtype="<f4").tobytes()
        array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01M\x90\x01\x85cnumpy\ndtype\n"
                 b"U\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" +
                 struct.pack("<i", len(raw)) + raw + b"tb")
        read = load(b"\x80\x02}U\x04text" + array + b"s.")
        np.testing.assert_array_equal(read["text"].array(), np.arange(400, dtype=np.float32))


class HostileTests(FileTestCase):
    def test_no_call_is_made(self) -> None:
        witness = self.path("witness")
        calls = [Call(os.system, f"touch {witness}"), Call(eval, f"open({witness!r}, 'w')"), Call(open, witness, "w"),
                 Call(getattr, "os", "system"), Call(__import__, "os"), Call(exec, "x = 1")]
        for call in calls:
            for protocol in (0, 2, 4):
                with self.subTest(call=call.function, protocol=protocol):
                    with self.assertRaises(FormatError) as caught:
                        load(pickle.dumps({"train": call}, protocol=protocol))
                    self.assertIn("not read or run", str(caught.exception))
        for name, write in (("a.pt", torch_zip), ("b.pt", torch_stream)):
            self.assert_refused(self.run_script("convert", write(self.path(name), {"train": calls[0]}), "-o",
                                                self.path("out")), 65, "system", "not read or run")
        self.assertFalse(os.path.exists(witness))
        self.assertFalse(os.path.exists(self.path("out")))

    def test_forbidden_operations(self) -> None:
        for data in (b"\x80\x02\x82\x01.", b"\x80\x02\x97.", b"cnumpy\nload\n.", b"(ios\nsystem\n.", b"(cposix\nsystem\no.",
                     b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"\x80\x02]cbuiltins\nlist\nb.", b"P1\n."):
            with self.subTest(data=data), self.assertRaises(FormatError):
                load(data)

    def test_what_an_array_claims(self) -> None:
        good = pickle.dumps(np.zeros((10, 20), np.float64), protocol=4)
        self.assertEqual(load(good).array().shape, (10, 20))
        for shape in ((10, 21), (1 << 40, 1 << 40), (0, 5), ()):
            fake = PickledArray()
            fake.set_state((1, shape, load(good).dtype, False, b"\0" * 1600))
            with self.subTest(shape=shape), self.assertRaises(ValueError):
                fake.array()

    def test_types_that_are_none(self) -> None:
        good = pickle.dumps(np.zeros(10, np.float64), protocol=4)
        for name in (b"f3", b"f\x12", b"O8", b"V8", b",,"):
            with self.subTest(name=name), self.assertRaises((FormatError, ValueError)):
                load(good.replace(b"f8", name)).array()

    def test_cut_and_damaged_files(self) -> None:
        content, _ = aligned(self.random, {"train": 2, "valid": 2, "test": 2}, steps=2)
        files = [torch_zip(self.path("a"), content), torch_stream(self.path("b"), content),
                 self.pickle("c", content, 2), self.pickle("d", content, 5)]
        draw = plain_random.Random(3)
        for path in files:
            with open(path, "rb") as file:
                good = file.read()
            for trial in range(120):
                bad = bytearray(good)
                if trial % 2:
                    del bad[draw.randrange(len(bad)):]
                else:
                    for _ in range(3):
                        bad[draw.randrange(min(len(bad), 600) if trial % 4 else len(bad))] = draw.randrange(256)
                self._read(self.bytes("bad", bytes(bad)))

    def _read(self, path: str) -> None:
        """Whatever it is, it is read or refused with our own error."""
        try:
            content = pickle_file.load(path, Workspace())
            if isinstance(content, dict):
                for split in content.values():
                    for value in split.values() if isinstance(split, dict) else ():
                        if isinstance(value, PickledArray):
                            try:
                                value.array()
                            except ValueError:
                                pass
        except FormatError:
            pass


if __name__ == "__main__":
    unittest.main()
