"""Documents: what a file or folder of plain text is taken to hold, and what is refused."""

import pytest

from engine.record.errors import BadInput
from engine.text.documents import read_documents


def paragraph(number, words=60):
    """A paragraph of its own words."""
    return " ".join(f"word{number}x{place}" for place in range(words))


def test_a_file_is_its_paragraphs_in_groups(tmp_path):
    """Paragraphs of 60 words go in twos, and the last one, alone, joins the group before it."""
    paragraphs = [paragraph(number) for number in range(7)]
    (tmp_path / "text.txt").write_text("\n\n".join(paragraphs))
    documents = read_documents(str(tmp_path / "text.txt"))
    assert documents == ("\n\n".join(paragraphs[:2]), "\n\n".join(paragraphs[2:4]), "\n\n".join(paragraphs[4:]))


def test_a_file_without_blank_lines_is_its_lines(tmp_path):
    """Where no line is blank, each line is a paragraph; Windows line ends and a byte order mark are no part of the text."""
    lines = [paragraph(number, 100) for number in range(3)]
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert read_documents(str(tmp_path / "text.txt")) == tuple(lines)


def test_a_folder_is_its_files(tmp_path):
    """Each .txt and .md file is a document, in subfolders too; other and hidden files are left alone, empty ones passed over."""
    (tmp_path / "deep").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("b.txt", "a.md", "deep/c.txt", ".hidden.txt", ".git/d.txt", "e.png"):
        (tmp_path / name).write_text(f"text of {name}")
    (tmp_path / "empty.txt").write_text(" \n")
    assert read_documents(str(tmp_path)) == ("text of a.md", "text of b.txt", "text of deep/c.txt")


def test_a_text_that_occurs_twice_is_read_once(tmp_path):
    """Two copies could land in two parts, and what is measured would have been trained on."""
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("the same" if name != "c.txt" else "another")
    assert read_documents(str(tmp_path)) == ("the same", "another")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"  \n\n ", "empty"),
        (b"text\0text", "binary"),
        (b"\x89PNG\r\n\x1a\n\0\0", "binary"),
        (b"caf\xe9 au lait", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, content, words):
    """The message says what is wrong with the file and names it."""
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(BadInput, match=words) as refused:
        read_documents(str(tmp_path / "text.txt"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("where", ["", "   ", "nowhere/at/all.txt"])
def test_a_path_that_is_not_there_is_refused(where):
    """No path, or a wrong one, is said to be just that."""
    with pytest.raises(BadInput, match="is not there"):
        read_documents(where)


def test_a_folder_without_text_is_refused(tmp_path):
    """The message names the kinds of file that would be read."""
    (tmp_path / "image.png").write_bytes(b"\0")
    with pytest.raises(BadInput, match=r"\.txt or \.md"):
        read_documents(str(tmp_path))


def test_too_few_documents_are_refused(tmp_path):
    """One paragraph cannot be kept apart from itself."""
    (tmp_path / "text.txt").write_text(paragraph(0, 5000))
    with pytest.raises(BadInput, match="too short"):
        read_documents(str(tmp_path / "text.txt"), at_least=3)
