"""How much of everything the shop begins with, for those who fill it and those who visit."""

CATEGORIES = 20
PRODUCTS = 2_000
REVIEWS = 6_000
CUSTOMERS = 300
ORDERS = 1_000
PER_PAGE = 24

NAMES = """
    amber basalt cedar delta ember fjord garnet harbor indigo jasper kelp larch marble nectar
    ochre pebble quartz raven saffron tundra umber velvet willow yarrow zephyr
"""
WORDS = NAMES.split()
