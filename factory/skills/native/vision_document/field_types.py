"""The type of a field from its name: a lexicon of cue nouns, and what a name says of privacy and bounds."""

import re
from dataclasses import dataclass
from types import MappingProxyType

from factory.domain.product import FieldType


def _cues(table: dict[FieldType, str]) -> dict[str, FieldType]:
    return {cue.strip(): kind for kind, cues in table.items() for cue in cues.split(",")}


# Whole names first, then last words.
_WHOLE = _cues(
    {
        FieldType.DATE: "date of birth, birthday, birth date, birthdate, dob, day, deadline, date, holiday, due, expiry",  # noqa: E501 - a list of words
        FieldType.EMAIL: "e-mail, email, email address, e-mail address, mail address, contact email",
        FieldType.TEXT: "number plate, licence plate, license plate, plate, serial number, account number, invoice "
        "number, order number, "
        "reference number, phone model, tracking number, room number, house number, registration number, "
        "member number, "
        "policy number, case number, passport number, licence number, license number, vat number, tax "
        "number, flight number, "
        "batch number, lot number, card number, chip number, microchip number, table number, seat "
        "number, staff number, "
        "employee number, patient number, part number, model number, docket number, permit number, gate "
        "number, stand number, "
        "place, location name, time zone, timezone, payment method, price list, cost centre, cost center, rate plan, "
        "price range, age group, age range, start location, end location, pickup location, drop-off location, "
        "opening hours, working hours, office hours, business hours, currency, unit, website title, file "
        "name, page title, "
        "image title, duration unit, phone type, street, size, dosage, dose, frequency",
        FieldType.RICH_TEXT: "body, terms and conditions, cover letter",
        FieldType.DATETIME: "start, end, start time, end time, starts at, ends at, when, timestamp, date and time, pickup "  # noqa: E501 - a list of words
        "time, "
        "pick-up time, arrival, departure, check-in, check-out, date time, datetime, departure time, "
        "arrival time, slot time, "
        "delivery time, meeting time, appointment time, begin, beginning, drop-off time, collection "
        "time, check-in time, "
        "check-out time, entry time, exit time, event time, scheduled time, starts, ends, scheduled for, "
        "recorded at, measured at",
        FieldType.TIME: "opening time, closing time, time of day, time, opens at, closes at, opens, closes",
        FieldType.INTEGER: "queue length, seats, beds, bedrooms, bathrooms, rooms, floors, floor, pages, copies, capacity, spaces, size "  # noqa: E501 - a list of words
        "in people, places, "
        "headcount, stock, stars, laps, points, odometer, mileage, year, age, week, semester, version "
        "number, servings, "
        "portions, units, guests, participants, attendees, children, adults, hours per week, days, "
        "weeks, months, minutes, "
        "places left, quantity, likes, votes, ranking, priority number, sort order, position, queue "
        "position, kilometres, "
        "kilometers, miles, steps, sets, reps, repetitions, calories, party size, group size, team size, "
        "persons, people, nights, "
        "pieces, doors, wheels, lanes, credits, ects, experience years, years, years of experience, "
        "number, storeys, spots, ram",
        FieldType.DURATION: "length of stay, lead time, cooking time, prep time, preparation time, running time, travel "  # noqa: E501 - a list of words
        "time, waiting time, "
        "response time, duration, hours worked, time spent, delay, cook time, notice period, lateness, playing time",
        FieldType.URL: "website, homepage, link, url, web site, video link, meeting link, repository, repo, repository "
        "url, web address, "
        "github, linkedin, blog, permalink",
        FieldType.PERCENTAGE: "tax rate, interest rate, vat rate, discount rate, commission rate, humidity, soil moisture, "  # noqa: E501 - a list of words
        "battery level, "
        "battery, progress, vat, occupancy rate, success rate, completion, discount, alcohol content, abv, commission",
        FieldType.MONEY: "hourly rate, daily rate, day rate, nightly rate, pay rate, exchange amount, starting bid, "
        "current bid, insured sum, "
        "room rate, rent, reserve price, balance, budget, salary, wage, funding goal, target amount, "
        "subtotal, grand total",
        FieldType.DECIMAL: "value, exchange rate, lat, lng, pain score, rating average, heart rate average",
        FieldType.GEO_POINT: (
            "gps, gps position, gps location, coordinates, geo location, geolocation, position on map, map position"
        ),
        FieldType.FILE: "cv, resume, résumé, portfolio, scan, contract file, id scan",
        FieldType.JSON: "metadata, settings, preferences, custom fields, configuration, properties, tags, keywords, "
        "labels, photos, images, "
        "pictures, attachments, dimensions map",
        FieldType.PHONE: (
            "phone, telephone, mobile, cell, phone number, mobile number, telephone number, emergency phone, fax"
        ),
        FieldType.UUID: "uuid, guid, external id, correlation id",
        FieldType.BOOLEAN: "urgent, public, private, paid, active, archived, vegetarian, vegan, gluten free, gluten-free, "  # noqa: E501 - a list of words
        "remote, featured, "
        "available, verified, vaccinated, neutered, read, done, enabled, disabled, visible, hidden, "
        "fragile, confirmed, "
        "refundable, insured, furnished, returned, in stock, newsletter, consent, waterproof, mandatory, anonymous, "
        "hazardous, perishable, wheelchair accessible, pets allowed, smoking allowed, smoker, member, "
        "recurring, approved, "
        "accessible, attended, present, billable, taxable, sterile, spayed, indoor, outdoor, charging, "
        "electric, covered",
    }
)
_LAST = _cues(
    {
        FieldType.MONEY: "price, cost, amount, fee, fees, total, salary, budget, balance, deposit, payment, fine, wage, "  # noqa: E501 - a list of words
        "rent, revenue, income, "
        "expense, bid, discount amount, subtotal, charge, charges, tip, premium, bounty, donation, "
        "money, refund, penalty, turnover, value, worth, "
        "tuition, allowance, commission fee, pledge, tax, sum",
        FieldType.DATE: "date, deadline, birthday, day, expiry, anniversary, on, until, since, due",
        FieldType.DATETIME: "datetime, timestamp, at",
        FieldType.TIME: "time",
        FieldType.DURATION: "duration, length in minutes, runtime",
        FieldType.EMAIL: "email, e-mail",
        FieldType.PHONE: "phone, telephone, mobile, phone number, fax",
        FieldType.URL: "url, website, link, homepage, uri",
        FieldType.PERCENTAGE: "percentage, percent, share, ratio, probability, likelihood, humidity, moisture",
        FieldType.INTEGER: "quantity, count, capacity, age, year, points, score, rating, stars, level, pages, seats, "
        "copies, stock, mileage, number of "
        "items, limit, floor, places, spaces, size limit, attempts, rank, round, odometer, threshold "
        "count, credits, kilometres, kilometers, "
        "calories, minutes, hours, days, weeks, months, years, nights, spots",
        FieldType.DECIMAL: "weight, height, width, depth, length, distance, temperature, volume, speed, latitude, "
        "longitude, pressure, area, "
        "surface, altitude, voltage, concentration, diameter, radius, dose, radiation, average, rate, "
        "wattage, power, energy, consumption, "
        "reading, measurement, threshold, minimum, maximum, min, max, litres, liters, kilograms, kilos, "
        "grams, ph, factor, yield",
        FieldType.BOOLEAN: "flag, required, allowed, enabled, included, accepted",
        FieldType.FILE: "photo, picture, image, file, attachment, document, logo, avatar, scan, recording, pdf, upload, "  # noqa: E501 - a list of words
        "thumbnail, video, audio, "
        "certificate, signature",
        FieldType.GEO_POINT: "coordinates, gps, geolocation",
        FieldType.RICH_TEXT: "description, note, notes, comment, comments, remarks, remark, body, content, biography, bio, "  # noqa: E501 - a list of words
        "message, instructions, "
        "instruction, summary, feedback, text, story, article, explanation, justification, abstract, "
        "details, agenda, minutes text, "
        "observations, observation, findings, finding, diagnosis notes, transcript, recipe text, about, "
        "synopsis, review text, report text, "
        "complaint text, method, steps text, statement",
        FieldType.UUID: "uuid, guid",
    }
)
_EXPLICIT = _cues(
    {
        FieldType.TEXT: (
            "text, string, short text, varchar, str, word, words, free text, line, char, chars, name, code, single line"
        ),
        FieldType.RICH_TEXT: "rich text, rich-text, long text, markdown, html, paragraph, multiline, multi-line text, textarea",  # noqa: E501 - a list of words
        FieldType.EMAIL: "email, e-mail, email address",
        FieldType.PHONE: "phone, telephone, phone number",
        FieldType.URL: "url, link, uri, web address",
        FieldType.MONEY: "money, currency, price, amount, euro, euros, eur, usd, dollars, dollar, gbp, pounds, chf, in "
        "euros, in euro, in dollars, "
        "in pounds, in usd, in eur, decimal money, cents",
        FieldType.PERCENTAGE: "percentage, percent, %, in percent, in %",
        FieldType.INTEGER: "integer, int, number, whole number, count, bigint, counter",
        FieldType.DECIMAL: "decimal, float, double, numeric, real, real number, in kg, kg, in km, km, in metres, in meters, "  # noqa: E501 - a list of words
        "celsius, in celsius, "
        "in grams, in litres, in liters, in cm, in m2, litres, grams, cm, metres, degrees, in degrees, "
        "volts, in mm, mm, in kwh, kwh",
        FieldType.BOOLEAN: "boolean, bool, yes/no, yes or no, true/false, true or false, flag, checkbox, y/n",
        FieldType.DATE: "date, day",
        FieldType.TIME: "time, time of day, clock time",
        FieldType.DATETIME: "datetime, date-time, date time, date and time, timestamp, moment, instant, date & time",
        FieldType.DURATION: (
            "duration, in minutes, minutes, in hours, hours, timespan, in days, interval, time span, in seconds"
        ),
        FieldType.UUID: "uuid, guid",
        FieldType.FILE: "file, image, photo, picture, attachment, upload, pdf, document, binary, blob, video",
        FieldType.GEO_POINT: (
            "geo point, geo-point, gps, coordinates, geo location, map position, lat/long, lat/lng, lat/lon, point, "
            "geo, latitude/longitude, geopoint"
        ),
        FieldType.JSON: (
            "json, object, map, dictionary, list, array, list of text, list of strings, key-value, list of "
            "words, structured data"
        ),
    }
)
_PERSONAL = re.compile(
    r"\b(first name|last name|full name|surname|forename|given name|family name|birth|birthday|dob|email|"
    r"e-mail|phone|mobile|telephone|address|"
    r"passport|iban|ssn|social security|national id|insurance number|medical|diagnosis|allerg(?:y|ies)|"
    r"blood|gender|nationality|"
    r"religion|salary|photo of|fingerprint|signature|cv|resume|emergency contact|next of kin|ethnicity|"
    r"health|disabilit(?:y|ies)|symptoms?|"
    r"medication|driving licence|driver'?s? licen[sc]e|licen[sc]e number|bank account|credit card|"
    r"postcode|home|weight of person|age)\b"
)
_UNSIGNED = frozenset({FieldType.MONEY, FieldType.PERCENTAGE, FieldType.DURATION})
_PREDICATE = re.compile(r"^(is|has|can|needs|allows|includes|accepts|was|wants)\b|\b(yes/no|or not)$")


@dataclass(frozen=True, slots=True)
class Guess:
    """A type and how sure the name makes it."""

    type: FieldType
    confidence: float


def explicit_type(words: str) -> FieldType | None:
    """Return the type that a type word names ("money", "long text", "in kg"), or None."""
    return _EXPLICIT.get(" ".join(words.lower().split()))


def guess_type(words: str) -> Guess:  # noqa: C901, PLR0911, PLR0912 - one case after the other, in the order that decides
    """Return the type a field's name suggests; text with low confidence where nothing is suggested."""
    name = " ".join(words.lower().replace("_", " ").split())
    name = re.sub(r"^(optional|required|unique|the|a|an|its|their)\s+", "", name)
    if _PREDICATE.search(name):
        return Guess(FieldType.BOOLEAN, 0.9)
    if re.search(r" in (?:seconds|minutes|hours|days|weeks|months|years|people|pieces)$", name):
        return Guess(FieldType.INTEGER, 0.95)
    if name in _WHOLE:
        return Guess(_WHOLE[name], 0.95)
    if re.match(r"(number|amount|count|quantity) of\b", name) and "money" not in name:
        return Guess(FieldType.INTEGER, 0.9)
    if name.startswith(("max ", "min ", "maximum ", "minimum ", "total number")):
        inner = guess_type(name.split(" ", 1)[1])
        numeric = inner.type in _NUMBERS
        return Guess(inner.type if numeric else FieldType.INTEGER, 0.8)
    head = re.split(r"\s+(?:of|in|for|per|to)\s+", name)[0]
    if head != name and head not in ("number", "time") and not name.endswith((" on", " at")):
        inner = guess_type(head)
        if inner.confidence >= _SURE:
            return inner
    last = name.rsplit(" ", 1)[-1]
    if last == "time" and name.split(" ")[0] in ("start", "end", "departure", "arrival", "pickup", "due", "begin"):
        return Guess(FieldType.DATETIME, 0.9)
    if last in _LAST:
        return Guess(_LAST[last], 0.85)
    if _COUNTED.search(name):
        return Guess(FieldType.INTEGER, 0.8)
    for suffix, kind in _SUFFIXES.items():
        if last.endswith(suffix) and last != suffix:
            return Guess(kind, 0.6)
    if last == "address":
        return Guess(FieldType.TEXT, 0.9)
    return Guess(FieldType.TEXT, 0.9 if last in _TEXT_CUES else 0.5)


_SURE = 0.8
# "ballots received", "registered voters": how many there are.
_COUNTED = re.compile(
    r"^[a-z]+s (?:received|cast|sold|issued|counted|used|needed|served|produced|planted|delivered|tested|left)$|"
    r"^(?:registered|expected|eligible|enrolled|active|invited) [a-z]+s$"
)
_NUMBERS = frozenset({FieldType.MONEY, FieldType.INTEGER, FieldType.DECIMAL, FieldType.PERCENTAGE, FieldType.DURATION})
_SUFFIXES = MappingProxyType({"date": FieldType.DATE, "url": FieldType.URL, "price": FieldType.MONEY})
_TEXT_CUES = frozenset(
    """name title code number reference subject topic make model brand colour color address street city country zip
    postcode isbn sku barcode reason specialty species breed author language category type genre kind role
    position headline caption label username nickname surname plate allergies room gender iban vin location
    place venue medicine diagnosis ingredients question answer nationality department company industry size
    material unit currency skill skills qualification""".split()
)
IDENTIFIERS = frozenset("isbn sku barcode vin iban ean serial number".split())


def is_attribute(noun: str) -> bool:
    """Tell whether a noun by its name alone is a field rather than a thing."""
    name = " ".join(noun.lower().split())
    last = name.rsplit(" ", 1)[-1]
    if name in _WHOLE and name not in _ALSO_THINGS:
        return True
    if last in _TEXT_CUES and last not in _ALSO_THINGS:
        return True
    return last in _LAST and last not in _ALSO_THINGS


_ALSO_THINGS = frozenset(
    """comment comments payment donation room document file deposit certificate recording video audio message story
    article review attachment reading measurement photo picture image department company category role skill
    question answer place location venue bid fine link member tag tags labels day expense pledge refund year
    week semester scan unit observation observations place link note notes charge model report instruction
    feedback repository tip premium resume portfolio child children qualification repository round position
    blog holiday floor floors topic street city country adults subject season finding findings instructions
    recipe signature minutes seat seats participants attendees guests bed beds bedrooms rooms pieces statement
    text medicine diagnosis dose ingredients language summary""".split()
)


def is_personal(words: str, *, of_person: bool) -> bool:
    """Tell whether a field holds personal data; `of_person` says that its entity is a person."""
    name = words.lower().replace("_", " ")
    if _PERSONAL.search(name):
        return of_person or bool(
            re.search(r"birth|passport|e-?mail|phone|mobile|iban|ssn|diagnos|allerg|blood|medic|symptom|gender", name)
        )
    return of_person and name in {"name", "photo", "picture", "avatar", "location", "nickname", "notes about", "bio"}


def default_bounds(kind: FieldType, words: str) -> dict[str, int | float | str | bool]:
    """Return bounds that follow from what is counted: quantities, prices and durations are never negative."""
    name = words.lower()
    if kind is FieldType.PERCENTAGE:
        return {"minimum": 0, "maximum": 100}
    if kind in _UNSIGNED and not re.search(r"balance|adjust|difference|change|delta|profit", name):
        return {"minimum": 0}
    if kind is FieldType.INTEGER and not re.search(
        r"level|floor|offset|change|difference|year|score|delta|temperature", name
    ):
        return {"minimum": 0}
    return {}
