"""The pickle machine: what it reads, and what it must not do."""
import collections
import os
import pickle
import random as plain_random
import resource
import struct
import subprocess
import sys
import types
import unittest
import unittest.mock
import zipfile

import numpy as np
from carat.errors import FormatError
from carat.formats import pickle_file
from carat.formats.mapped import Workspace
from carat.formats.torch_objects import TORCH
from carat.formats.unpickle import Unpickler
from support import SCRIPTS, FileTestCase, aligned, torch_storage, torch_stream, torch_zip


def load(data: bytes) -> object:
    return Unpickler(memoryview(data), "file", TORCH, Workspace()).load()


class Call:
    """An object whose pickle asks for a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> object:
        return self.function, self.arguments


class PlainDataTests(FileTestCase):
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
                    self.assertIsInstance(read[key], np.ndarray)
                    np.testing.assert_array_equal(read[key], content[key])
                np.testing.assert_array_equal(read["objects"][1], x[1, :2])
                self.assertEqual(list(read["names"]), ["ab", "c"])
                self.assertEqual(read["list"][:8], content["list"][:8])
                self.assertEqual(read["number"], 3.5)
                self.assertEqual((read["ordered"], read["default"]), ({"q": 1}, {1: [2]}))

    def test_text_protocol_keeps_every_byte(self) -> None:
        """Protocol 0 of Python 3 writes the bytes of arrays as text, and those from 0x80 on as others."""
        x = np.frombuffer(bytes(range(256)) * 700, np.uint8)
        for content in (x, [x.view("<f4")[:3], x[:9]]):
            read = load(pickle.dumps(content, protocol=0))
            for found, wanted in zip(*((v if isinstance(v, list) else [v]) for v in (read, content))):
                self.assertEqual(found.tobytes(), wanted.tobytes())

    def test_an_array_that_is_there_twice(self) -> None:
        x = np.arange(6.0)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            read = load(pickle.dumps({"a": x, "b": [x, x.dtype]}, protocol=protocol))
            np.testing.assert_array_equal(read["b"][0], x)
            self.assertEqual(read["b"][1], x.dtype)

    def test_tensors_that_pickle_wrote(self) -> None:
        """Tensors in `pickle.dump` hold a file of torch.save each."""
        x = np.arange(12, dtype=np.float32).reshape(3, 4)
        storage, functions = torch_storage(x), {}
        modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils", "torch.storage")}
        for module, name in (("torch._utils", "_rebuild_tensor_v2"), ("torch.storage", "_load_from_bytes")):
            functions[name] = types.FunctionType((lambda: None).__code__, {}, name)
            functions[name].__module__, functions[name].__qualname__ = module, name
            setattr(modules[module], name, functions[name])
        patch = unittest.mock.patch.dict(sys.modules, modules)
        patch.start()
        self.addCleanup(patch.stop)
        tensor = Call(functions["_rebuild_tensor_v2"], Call(functions["_load_from_bytes"], storage), 4, (2, 4), (4, 1), False,
                      collections.OrderedDict())
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            np.testing.assert_array_equal(load(pickle.dumps({"text": tensor}, protocol))["text"], x[1:])
        for bad in (storage[:-1], storage[:40], b"", pickle.dumps(7)):
            with self.assertRaises(FormatError):
                load(pickle.dumps(Call(functions["_load_from_bytes"], bad)))

    def test_a_zip_file_around_a_pickle(self) -> None:
        content, _ = aligned(self.random)
        source = self.pickle("a.pkl", content)
        for inner, method in ((source, zipfile.ZIP_STORED), (source, zipfile.ZIP_DEFLATED),
                              (torch_zip(self.path("b.pt"), content), zipfile.ZIP_DEFLATED)):
            with zipfile.ZipFile(self.path("a.zip"), "w", method) as archive:
                archive.write(inner, "data/" + os.path.basename(inner))
                archive.writestr("__MACOSX/data/._a.pkl", b"x")
            read = pickle_file.load(self.path("a.zip"), Workspace())
            np.testing.assert_array_equal(read["train"]["src-text"], content["train"]["src-text"])
        with zipfile.ZipFile(self.path("a.zip"), "a") as archive:
            archive.writestr("more.pkl", b"x")
        with self.assertRaisesRegex(FormatError, "more.pkl; unpack it"):
            pickle_file.load(self.path("a.zip"), Workspace())

    def test_strings_of_python_2(self) -> None:
        raw = np.arange(400, dtype="<f4").tobytes()
        array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01M\x90\x01\x85cnumpy\ndtype\n"
                 b"U\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" +
                 struct.pack("<i", len(raw)) + raw + b"tb")
        read = load(b"\x80\x02}U\x04text" + array + b"s.")
        np.testing.assert_array_equal(read["text"], np.arange(400, dtype=np.float32))


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

    def test_bombs_end_in_one_line(self) -> None:
        """What claims more than there is, and what would overflow C's stack, in the memory of a small machine."""
        deep = b"\x80\x02}" + b")" + b"\x85" * 2_000_000 + b"K\x01s."
        objects = {"key": deep, "set": b"\x80\x04\x8f()" + b"\x85" * 2_000_000 + b"\x90.", "frozen": b"\x80\x04()" + b"\x85" * 2_000_000 + b"\x91.",
                   "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 45) + b".", "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 36) + b".",
                   "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 45) + b".", "memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
                   "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 45) + b".", "lists": b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b"."}
        for name, content in objects.items():
            path = self.bytes(name, content)
            limit = 1 << 30
            done = subprocess.run([sys.executable, os.path.join(SCRIPTS, "convert"), path, "-o", self.path("out")], text=True,
                                  capture_output=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
            with self.subTest(name=name):
                self.assert_refused(done, 65)

    def test_what_an_array_claims(self) -> None:
        good = pickle.dumps(np.zeros((10, 20), np.float64), protocol=3)
        self.assertEqual(load(good).shape, (10, 20))
        shape = b"K\x0aK\x14\x86"
        self.assertEqual(good.count(shape), 1)
        for claimed in (b"K\x0aK\x15\x86", b"\x8a\x06" + b"\0" * 5 + b"\x01\x8a\x06" + b"\0" * 5 + b"\x01\x86", b"K\0K\x05\x86", b")",
                        b"J\xff\xff\xff\xffK\x14\x86", b"N", b"]"):
            with self.subTest(shape=claimed), self.assertRaises(FormatError):
                load(good.replace(shape, claimed))

    def test_types_that_are_none(self) -> None:
        good = pickle.dumps(np.zeros(10, np.float64), protocol=4)
        for name in (b"f3", b"f\x12", b"O8", b"V8", b",,"):
            with self.subTest(name=name), self.assertRaises(FormatError):
                load(good.replace(b"f8", name))

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
            pickle_file.load(path, Workspace())
        except FormatError:
            pass


if __name__ == "__main__":
    unittest.main()
