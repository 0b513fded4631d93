"""Files that are there whole or not at all."""
import os
import resource
import subprocess
import sys

from carat import durable
from carat.errors import OutputError
from support import FileTestCase


class DurableTests(FileTestCase):
    def content(self, name: str) -> bytes:
        with open(self.path(name), "rb") as file:
            return file.read()

    def test_a_file_is_replaced(self) -> None:
        durable.write(self.path("a"), "größer")
        self.assertEqual(self.content("a"), "größer".encode())
        durable.write(self.path("a"), b"\0")
        self.assertEqual((self.content("a"), os.listdir(self.directory)), (b"\0", ["a"]))

    def test_what_fails_leaves_what_was_there(self) -> None:
        durable.write(self.path("a"), "before")
        with self.assertRaises(KeyError), durable.beside(self.path("a")) as temporary:
            with open(os.path.join(temporary, "part"), "w") as file:
                file.write("half")
            raise KeyError
        with self.assertRaises(OutputError) as failed, durable.beside(self.path("a")):
            raise OSError(28, "No space left on device")
        self.assertEqual(failed.exception.status, 74)
        self.assertIn("a: can't write it: No space left", str(failed.exception))
        self.assertEqual((self.content("a"), os.listdir(self.directory)), (b"before", ["a"]))
        with self.assertRaises(OutputError) as failed:
            durable.write(self.path("none/a"), "")
        self.assertEqual(failed.exception.status, 73)

    def test_a_file_that_may_not_grow(self) -> None:
        durable.write(self.path("a"), "before")
        done = subprocess.run([sys.executable, "-c", "import sys; from carat import durable; durable.write(sys.argv[1], 'x' * 9000)",
                               self.path("a")], capture_output=True, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
        self.assertIn("can't write it: File too large", done.stderr)
        self.assertEqual((self.content("a"), os.listdir(self.directory)), (b"before", ["a"]))

    def test_a_directory_as_a_whole_or_into_another(self) -> None:
        for content, others in ((b"1", []), (b"2", ["own"])):
            with durable.beside(self.path("d")) as temporary:
                for name in ("x", "y"):
                    with open(os.path.join(temporary, name), "wb") as file:
                        file.write(content)
                durable.put_directory(temporary, self.path("d"))
            self.assertEqual((self.content("d/x"), self.content("d/y")), (content, content))
            self.assertEqual(sorted(os.listdir(self.path("d"))), sorted(["x", "y", *others]))
            self.assertEqual(os.listdir(self.directory), ["d"])
            mask = os.umask(0)
            os.umask(mask)
            self.assertEqual(os.stat(self.path("d")).st_mode & 0o777, 0o777 & ~mask)
            self.bytes("d/own", b"")
