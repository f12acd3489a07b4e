"""The checks on captions, on good and bad ones of the kinds that language models write."""

import pytest

from framemill.data_filters.captions.checks import caption_problem, function_word_share, repeated_share, words_of

GOOD = [
    "A tall woman in a red raincoat walks along a wet street at dusk, holding a black umbrella over her shoulder. She "
    "turns her head towards a shop window, slows down, and smiles at something inside before she goes on. Behind her, "
    "yellow lamps are reflected in puddles while a blue tram passes from right to left. The air is full of fine rain "
    "and the pavement shines. The camera follows her from the side at the height of her chest, keeping the same "
    "distance, and then stops as she leaves the frame on the left.",
    "Two brown dogs chase each other across a green meadow. The smaller one jumps over a log, stumbles, rolls, and "
    "gets up again, while the larger one barks and circles around it with its tail raised. Tall grass sways in the "
    "wind and a row of birches stands in the background under a pale sky with thin clouds. Sunlight comes from the "
    "left and throws long shadows. The shot is taken from a low angle close to the ground and pans quickly to the "
    "right to keep both animals in view.",
    "A sign on a glass door reads SORRY WE ARE CLOSED. A man in a grey coat cannot open the door, so he "
    "knocks and looks "
    "through the glass with his hands around his eyes. He says something to a friend, who shrugs; then both walk "
    "away down the empty street. Snow falls in large flakes onto the pavement and the parked cars. The camera is "
    "held by hand behind them and moves a little up and down with the steps of the person who holds it.",
]
ELSEWHERE = {
    "German": "Eine Frau in einem roten Mantel geht in der Dämmerung eine nasse Straße entlang und hält einen "
    "Schirm über "
    "der Schulter. Sie dreht den Kopf zu einem Schaufenster und lächelt, während hinter ihr eine blaue Straßenbahn "
    "vorbeifährt. Die Kamera folgt ihr von der Seite.",
    "French": "Une femme en manteau rouge marche le long d'une rue mouillée au crépuscule, tenant un parapluie "
    "noir sur "
    "son épaule. Elle tourne la tête vers une vitrine et sourit, tandis qu'un tramway bleu passe derrière elle. La "
    "caméra la suit de côté.",
    "Spanish": "Una mujer con un abrigo rojo camina por una calle mojada al anochecer con un paraguas negro sobre el "
    "hombro. Gira la cabeza hacia un escaparate y sonríe mientras un tranvía azul pasa detrás de ella. La cámara la "
    "sigue de lado.",
    "Italian": "Una donna con un cappotto rosso cammina lungo una strada bagnata al tramonto, con un ombrello nero "
    "sulla "
    "spalla. Gira la testa verso una vetrina e sorride mentre un tram blu passa dietro di lei. La camera "
    "la segue di lato.",
    "Portuguese": "Uma mulher com um casaco vermelho caminha por uma rua molhada ao anoitecer com um guarda-chuva "
    "preto "
    "sobre o ombro. Ela vira a cabeça para uma vitrine e sorri enquanto um bonde azul passa atrás dela.",
    "Dutch": "Een vrouw in een rode jas loopt in de schemering door een natte straat en houdt een zwarte paraplu "
    "boven haar "
    "schouder. Ze draait haar hoofd naar een etalage en lacht terwijl er een blauwe tram langsrijdt.",
    "Chinese": "一位穿着红色雨衣的高个子女人在黄昏时分沿着湿漉漉的街道行走，肩上撑着一把黑色的雨"
    "伞。她转头看向商店的橱窗。",
    "Russian": "Женщина в красном плаще идёт по мокрой улице в сумерках и держит над плечом чёрный зонт. Она "
    "улыбается.",
}
REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, I cannot assist with this request.",
    "As an AI language model, I do not have the ability to watch videos.",
    "I am unable to describe the people in these frames.",
    "Unfortunately, I can't provide a description of this video because it may be harmful to the persons in it.",
    "No images were provided. Please upload the frames that you would like me to describe.",
    "Sorry, but I won't describe that.",
    "This goes against my guidelines, so there is no description of the clip that could be given here at all.",
]


@pytest.mark.parametrize("text", GOOD, ids=["rain", "dogs", "sign"])
def test_good_captions_pass_with_room_to_spare(text: str) -> None:
    assert caption_problem(text, "stop", 30, 160) is None
    assert function_word_share(words_of(text)) > 0.25 and repeated_share(words_of(text)) < 0.05


@pytest.mark.parametrize("language", ELSEWHERE)
def test_other_languages_are_told(language: str) -> None:
    assert caption_problem(ELSEWHERE[language], "stop", 1, 160) == "not English"
    assert function_word_share(words_of(ELSEWHERE[language])) <= 0.06


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_told_before_their_length(text: str) -> None:
    assert caption_problem(text, "stop", 30, 160) == "refusal"


@pytest.mark.parametrize(
    "text, finish, reason",
    [
        ("", "stop", "empty"),
        (" \n", "stop", "empty"),
        ("", "content_filter", "refusal"),
        ("12 ... !!", "stop", "not English"),
        ("A dog runs.", "stop", "too short"),
        (GOOD[0] + " " + GOOD[1], "stop", "too long"),
        (GOOD[0][:300], "length", "cut off"),
        ("The man walks to the door and opens it. " * 12, "length", "repetition"),
        ("red red red red red red red red red red red red", "stop", "repetition"),
    ],
)
def test_each_fault_has_its_name(text: str, finish: str, reason: str) -> None:
    assert caption_problem(text, finish, 30, 160) == reason


def test_words_are_counted_as_people_do() -> None:
    assert words_of("It's a well-lit room, 3 m high \u2014 isn\u2019t it?") == [
        *("it's", "a", "well-lit", "room", "3", "m", "high", "isn't", "it")
    ]
