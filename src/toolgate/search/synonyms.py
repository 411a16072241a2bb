"""What else people say for the words of tools: a small table, written by hand, one group a line.

A word may be in several groups. A group counts less than the word itself, so that it may be wide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from toolgate.search.stems import stem

GROUPS = """
create add new make insert register
delete remove erase drop clear unset
update edit modify change set patch rename
list show all enumerate browse
get fetch retrieve read view lookup obtain
search find query lookup discover explore
send post deliver publish submit
start run launch execute trigger begin
stop cancel end abort halt kill
enable activate on
disable deactivate off
download export save
upload import
compute calculate evaluate solve estimate
convert transform translate export
compare difference diff
verify check validate test
generate generator generation
subscribe subscription follow
link connect
repository repo project
pull merge pr
issue ticket bug
error failure problem
folder directory path
file document pdf
table spreadsheet csv excel sheet
database sql db
data dataset statistic statistics analytics
chart graph plot diagram visualize visualization
code program programming script software
engineer developer
server host machine
website web page site url link
text string word
number integer digit
key password secret credential
login signin authenticate authentication sign auth
permission access role
account profile
owner author creator
person people user member
customer client
employee staff worker
configuration config setting preference option
status state
detail information info
log history record
time date clock timezone
schedule plan book reserve booking reservation appointment calendar event meeting
reminder remind alarm notification alert
message chat notify sms email mail
contact phone telephone call
comment reply
like favorite favourite save
rating rate review
popular trending top best
similar related recommend recommendation suggest suggestion
summary summarize summarise summarization abstract
language translation translator
quote saying quotation
news headline article story
tweet twitter
image picture photo photograph drawing art
video clip youtube
voice speech audio sound podcast
film movie cinema
tv television series show episode
actor cast credit crew director star
song track music
singer artist musician band
album record
player playback play
game play gaming
sport match team league player score
book novel library literature
paper research academic scholar scientific publication study
learn study course education teach tutor lesson
student school university college
job career employment hiring vacancy position
resume cv
weather forecast temperature rain climate
map location place address geographic geocode
distance route direction navigation drive driving
nearby near close around
area size volume
trip travel vacation tour itinerary destination journey holiday tourist tourism sightseeing attraction
hotel accommodation lodging stay room
flight airline plane airport
car vehicle automobile
house property apartment estate rent mortgage home
restaurant food meal dining cuisine eat
recipe cook cooking ingredient dish
diet nutrition calorie
health medical doctor medicine disease symptom
fitness exercise workout
stock share ticker equity market finance financial invest investment
economy economic inflation finance financial
crypto cryptocurrency bitcoin token coin blockchain
money currency exchange
wallet balance account
payment pay transaction transfer invoice bill
price cost rate fee fare
buy purchase order shop shopping product
discount coupon deal promo promotion sale
tax income salary
interest loan
law legal lawyer court statute
gift present
joke humor fun funny
birthday birth born age
astrology horoscope zodiac tarot
"""


GROUP = "="
"""How the name of a group begins, and no word does."""


@cache
def groups() -> Mapping[str, tuple[str, ...]]:
    """The names of the groups that each stem is in."""
    found: dict[str, list[str]] = defaultdict(list)
    for group in GROUPS.strip().splitlines():
        words = group.split()
        for one in {stem(word) for word in words}:
            found[one].append(f"{GROUP}{words[0]}")
    return {one: tuple(names) for one, names in found.items()}
