"""File names and a caption that would run as a script, break HTML or hide their ending where they are not escaped."""

ATTACK_NAMES = {
    '"><script>window.harm=1</script>.mp4': "dark.mp4",
    "<img src=x onerror=window.harm=1>.mp4": "static.mp4",
    "' autofocus onfocus='window.harm=1'.mp4": "shot 3 \u00e9.mp4",
    "{{ 7*7 }}{% raise %}<!--.mp4": "shot 2 \u00e9.mp4",
    "gpj.\u202e4pm\x07.mp4": "words.mp4",
}
"""Names of files that attack whoever shows them, each with the file of the footage that takes the name."""
ATTACK_CAPTION = "</script><script>window.harm=1</script><!-- & \u2028 {{ 7*7 }}"
