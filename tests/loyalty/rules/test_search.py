import pytest

from loyalty.rules.search import MAX_SEARCH_WORDS, WORDS_OF_A_SEARCH, search_words, split_search, words_mark


def finds(search: str, full_name: str = "", external_id: str = "x-1", card: str | None = None, **told: str) -> bool:
    """Tell whether a search finds a customer, as the statement of the list does."""
    cards = () if card is None else (card,)
    words = search_words(external_id, full_name, told.get("email"), told.get("phone"), cards)
    return all(any(word.startswith(way) for word in words for way in ways) for ways in split_search(search))


@pytest.mark.parametrize(
    ("search", "name"),
    [
        ("Mueller", "Anja Müller"),
        ("Müller", "Anja Mueller"),
        ("MULLER", "Anja Müller"),
        ("müll", "Anja Müller"),
        ("muel", "Anja Müller"),
        ("Mu\u0308ller", "Müller"),
        ("Weiss", "Weiß"),
        ("weiß", "Weiss"),
        ("lukasz", "Łukasz Żak"),
        ("Łukasz", "Lukasz Zak"),
        ("zak", "Łukasz Żak"),
        ("Soerensen", "Sørensen"),
        ("sorensen", "Sørensen"),
        ("Sørensen", "Soerensen"),
        ("aase", "Åse"),
        ("ase", "Åse"),
        ("isik", "Işık"),
        ("Işık", "Isik"),
        ("istanbul", "İstanbul"),
        ("heide", "Anna von der Heide"),
        ("der Heide", "Anna von der Heide"),
        ("von der Heide", "Anna von der Heide"),
        ("anna hei", "Anna von der Heide"),
        ("heide anna", "Anna von der Heide"),
        ("lüdenscheidt", "Müller-Lüdenscheidt"),
        ("Müller-Lüd", "Müller-Lüdenscheidt"),
        ("mueller-luedenscheidt", "Müller-Lüdenscheidt"),
        ("ONeill", "O'Neill"),
        ("o'ne", "O'Neill"),
        ("neill", "O’Neill"),
    ],
)
def test_usual_spellings_find_each_other(search: str, name: str) -> None:
    assert finds(search, name)


@pytest.mark.parametrize(
    ("plain", "marked"),
    [
        *(("strasse", "Straße"), ("gross", "Groß")),
        *(("jaeger", "Jäger"), ("jager", "Jäger"), ("koenig", "König"), ("konig", "König")),
        *(("gruen", "Grün"), ("grun", "Grün"), ("walesa", "Wałęsa"), ("jorgen", "Jørgen"), ("joergen", "Jørgen")),
        *(("yildiz", "Yıldız"), ("francois", "François"), ("nunez", "Núñez"), ("dvorak", "Dvořák")),
    ],
)
def test_letters_are_found_with_and_without_their_marks(plain: str, marked: str) -> None:
    """Both ways, in capitals too, and by a beginning."""
    for search, name in ((plain, marked), (marked, plain), (plain.upper(), marked), (marked.upper(), plain)):
        assert finds(search, f"Anna {name}"), (search, name)
    assert finds(plain[:4], f"Anna {marked}")


@pytest.mark.parametrize("search", ["9900", "9900-11", "9900 1122", "99001122", "ab-12", "AB12", "ab12-9900"])
def test_a_card_number_is_found_by_its_beginning_whatever_its_signs(search: str) -> None:
    assert finds(search, card="9900-1122" if search[0] == "9" else "AB12 9900")
    assert not finds(search, card="8800-1122")


@pytest.mark.parametrize(
    ("search", "name"), [("mueler", "Müller"), ("ller", "Müller"), ("anna ben", "Anna Müller"), ("muxller", "Müller")]
)
def test_other_people_are_not_found(search: str, name: str) -> None:
    assert not finds(search, name)


@pytest.mark.parametrize("search", ["anna.s", "ANNA.SCHMIDT@example.org", "anna.schmidt@"])
def test_an_e_mail_address_is_found_by_its_beginning(search: str) -> None:
    assert finds(search, email="anna.schmidt@example.org")
    assert not finds(search, email="hanna.schmidt@example.org")


@pytest.mark.parametrize("search", ["A-17", "a-17/b", "a17", "A-17/B 2"])
def test_an_external_id_is_found_whatever_its_case_and_signs(search: str) -> None:
    assert finds(search, external_id="A-17/B 2")


@pytest.mark.parametrize(
    "search", ["+49 170 123", "0170 1234567", "0049 170", "0170/12", "170123", "(0170) 123-4567", "+491701234567"]
)
def test_a_number_is_found_with_and_without_its_country(search: str) -> None:
    assert finds(search, phone="+491701234567")
    assert not finds(search, phone="+491511234567")


def test_a_search_has_a_fixed_shape() -> None:
    """One statement serves all searches of so many words."""
    assert [len(ways) for ways in split_search("a b ü d e f g h")] == [WORDS_OF_A_SEARCH] * MAX_SEARCH_WORDS
    assert split_search("  ") == []
    assert split_search("- '") == [] or all(way for ways in split_search("- '") for way in ways)


def test_a_mark_tells_words_apart() -> None:
    words = search_words("x", "Anna Müller", "a@example.org")
    assert words_mark(words) == words_mark(sorted(words))
    assert words_mark(words) != words_mark(search_words("x", "Anna Mueller", "a@example.org"))
