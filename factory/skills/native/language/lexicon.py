"""Word lists the rules share. A list holds words of many domains; none is taken from one product."""

from types import MappingProxyType


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


# Nouns that name no thing a product keeps: the product itself, its surface, and abstractions.
VAGUE_NOUNS = _words(
    """blood
    system app application-ui application-programming software platform solution product-vision website site web
    webapp portal information data list way page time interface ui ux screen button form-field menu dropdown
    dashboard tab popup dialog layout color colour icon font widget navigation homepage landing-page browser
    device phone-app mobile thing things stuff item-of kind sort type-of lot number amount-of bit case-of
    example idea purpose reason use usage need needs issue-of fact sense order-to work life day days week
    weeks month months year years hour hours minute minutes second seconds moment morning evening afternoon
    night today tomorrow yesterday user-experience experience-level functionality ability access control
    overview summary detail details change-log history-view status state info details insight insights
    everything anything something nothing someone anyone everyone others other one ones people-in-general
    others self hand place-of front back top bottom procedure rule-set group-of range variety rest half
    advance mind touch care trust mistake mistakes trouble confusion confidence clarity efficiency performance
    quality help-text support-for feedback-loop world internet cloud server database backend frontend api
    service-layer code json csv pdf excel spreadsheet spreadsheets paperwork paper email-client sms phone-call
    phone-calls call-centre pen click clicks keyboard mouse input output format formats version-of mode login
    logout password-reset sign-on account-creation question-of end start beginning middle date-range future
    past present basis context situation situations term terms sake term-of total-of glance line-of side
    effort money-of cost-of size-of shape-of level-of same name reports-of advantage value values success
    chance chances opportunity opportunities scope vision mission statement-of glossary entities field fields
    attribute attributes column columns row rows record-keeping thing's organisation-wide moment's notice
    conflict conflicts overlap mess chaos race habit etc zero blank error errors mean person people human
    humans user users customer-base team-wide staff-wide world-wide ease speed hurry hassle"""
)

# Nouns that are as vague, unless somebody makes, changes or removes one ("report a problem", "order a part").
SOFT_NOUNS = _words(
    """water money
    tool group issue problem goal part piece process workflow step question requirement feature version benefit
    design form link view title track option result choice set business background head record"""
)

# Nouns of a product's surface or plumbing: a story about them is about the interface, not about a thing kept.
SURFACE_NOUNS = _words(
    """page pages screen screens button buttons menu tab tabs popup dialog layout design ui ux interface dashboard
    link links icon icons homepage browser css html javascript font colour color logo banner sidebar
    navigation header footer database server api sql code deployment pipeline environment log logs cache
    performance docker kubernetes cluster repository backend frontend unit-test tests ci cd library-version
    framework dropdown checkbox widget tooltip"""
)

PERSON_NOUNS = _words(
    """accountant actor admin administrator adviser advisor agent analyst applicant apprentice architect archivist
    artist assistant athlete attendant attendee attorney auctioneer auditor author baker barber barista
    bartender beneficiary bidder biller blogger borrower boss breeder broker builder butcher buyer camper
    candidate captain caregiver carer caretaker cashier chairperson chef child children citizen cleaner clerk
    client climber clinician coach collector colleague commander commuter conductor consultant consumer
    contestant contractor contributor controller coordinator counsellor counselor courier crew curator
    customer cyclist dealer delegate dentist designer developer diner dispatcher diver doctor donor driver
    editor educator electrician employee employer engineer examiner exhibitor expert facilitator family farmer
    fisherman foreman freelancer friend fundraiser gardener groomer grower guardian guest guide hacker handler
    handyman head hirer homeowner host hotelier housekeeper hunter hygienist immigrant inspector installer
    instructor insurer intern interviewer investigator investor janitor journalist judge juror keeper landlord
    landlady lawyer leader learner lecturer lender lessee lessor librarian lifeguard listener lodger
    maintainer manager manufacturer marketer mayor mechanic mediator member mentee mentor merchant midwife
    migrant moderator musician neighbour neighbor nurse nutritionist observer officer official operator
    optician organiser organizer owner painter panelist parent parishioner participant partner passenger
    patient patron paralegal paramedic payer peer performer person pharmacist photographer physician
    physiotherapist pickers picker pilot planner player plumber police porter practitioner presenter president
    principal printer-operator producer professor programmer promoter proofreader prospect provider
    psychologist publisher pupil purchaser ranger rater reader realtor receptionist recipient recruiter
    referee referrer registrar renter repairer reporter representative requester researcher resident
    respondent responder retailer reviewer rider roommate runner sailor salesperson scheduler scientist
    secretary seeker seller senior shareholder shipper shopkeeper shopper singer sitter skater skipper speaker
    specialist spectator sponsor staff steward student subscriber superintendent supervisor supplier supporter
    surgeon surveyor teacher technician tenant tester therapist trainee trainer translator traveller traveler
    treasurer trucker trustee tutor typist umpire underwriter user vendor vet veterinarian victim visitor
    volunteer voter waiter waitress walker warden welder winner witness worker writer youth grower buddy
    captain dean provost co-owner superuser maintainer dispatcher planter rescuer foster-parent adopter
    underwriter adjuster assessor concierge valet bellhop maid purser baggage-handler brewer winemaker vintner
    roaster florist jeweller tailor seamstress"""
)
GROUP_PERSON_NOUNS = _words(
    """staff crew team family police committee board public management personnel kitchen reception"""
)

# Nouns in -er, -or, -ee, -ist, -ian that are no persons.
NOT_PERSONS = _words(
    """order number letter paper offer computer server printer sensor monitor container trailer folder calendar
    newsletter counter timer tracker poster sticker voucher ledger register matter corner center centre
    chapter semester quarter filter parameter meter router scanner freezer charger locker tower shelter
    transfer cover layer trigger factor color floor door error motor tractor elevator projector indicator
    reactor committee fee tree degree coffee list checklist wishlist playlist waitlist power weather water
    river answer dinner butter copper silver paper-order banner header footer binder burger cancer character
    cluster crater cylinder dryer engine fiber fever finger flower gender hammer helicopter identifier jumper
    ladder leather liter litre lumber manner member-fee metre mixer mower order partner-fee pepper plaster
    power-meter prayer proper quarter radiator refrigerator remainder reminder river rubber ruler shower
    slider spider sponsor-fee summer winter supper sweater tanker temper theater theatre thermometer ticker
    toaster trailer transformer transistor trimmer tumor under upper user-story vector visor water-meter
    whisker wrapper zipper behavior behaviour flavor flavour honor humor labor labour major minor mirror
    neighbor-hood odor rumor terror vapor anchor armor interior exterior superior inferior guarantee pedigree
    jubilee referee-report toffee twist wrist mist exist specialist-field pier tier supplier-invoice
    cashier-desk barrier carrier courier-fee frontier premier earlier later other another either whether never
    ever over after together rather further however center buffer pointer setter getter booster primer
    thriller trailer cooker heater boiler cooler burner player-card sprinkler controller-board blender paver
    digger loader freighter steamer cleaner-product quater amber ember timber chamber cucumber encounter
    disaster roster master cluster minor donor-card tenor sculptor-hall inventor-y dossier atelier hamster
    poker soccer order-line dollar-order"""
)

EVALUATIVE_ADJECTIVES = _words(
    """new old own other same different multiple personal individual specific particular current upcoming past
    previous next last late early overdue free open pending full empty good bad better best great simple easy
    quick fast slow big small large little long short high low more most less least few many several various
    certain every each all any some no only single whole complete entire possible available relevant
    appropriate important useful interesting correct right wrong accurate valid invalid real actual main major
    minor key special additional extra further existing missing unique favorite favourite recent latest future
    first second third final initial original potential similar nearby local daily weekly monthly yearly
    active inactive closed cancelled booked approved rejected submitted completed finished published draft
    archived assigned unassigned unpaid paid expired broken damaged lost given required optional necessary
    necessary clear basic general common typical regular normal standard usual busy ready able sure happy
    willing responsible interested registered certain frequent separate shared private public common anonymous
    internal-use top popular basic busy nice ideal major outstanding due detailed planned scheduled confirmed
    selected chosen related associated corresponding respective urgent critical internal external digital
    online electronic manual automatic historical total overall annual present proposed desired preferred own
    rough brief proper modern friendly sensitive confidential physical joint numerous countless endless actual
    suspicious"""
)

# Classifying adjectives that are part of a thing's name.
CLASSIFYING_ADJECTIVES = _words(
    """medical financial legal clinical dental surgical academic scientific technical electrical mechanical chemical
    musical social commercial industrial agricultural veterinary environmental nutritional educational
    promotional residential administrative diagnostic therapeutic athletic domestic strategic tactical
    operational contractual statutory monetary front chief executive human general-practice quality budgetary culinary
    voluntary geographic geographical biological nuclear solar thermal"""
)

CREATE_VERBS = _phrases(
    """create, add, register, record, log, enter, submit, book, schedule, order, request, place, make, open, post,
    upload, write, file, report, raise, issue, plan, organise, organize, set up, define, capture, draft,
    propose, invite, enroll, enrol, onboard, sign up, apply, reserve, rent, borrow, lend, subscribe, donate,
    comment, vote, bid, buy, purchase, import, generate, compose, send, hire, note, launch, publish, input,
    store, save, announce, describe, list, offer, build, prepare, insert, sell, pledge, nominate, adopt, join,
    leave, write down, fill in, fill out, put in, check in, take in, bring in, host, produce, sign in, award, note
    down, jot down, rsvp, pay, tip, refer, message, ask, hand in, ship, lodge, declare, introduce, form, set,
    take, enlist, admit, harvest, plant, brew, run, hold, leave, give, share, assemble"""
)
READ_VERBS = _phrases(
    """see, view, look at, read, inspect, consult, access, track, monitor, follow, find, search, list, browse,
    filter, sort, look up, get, download, export, print, compare, explore, show, display, know, query,
    retrieve, look for, look through, check, watch, review, overview, examine, preview, look over, discover,
    study, visualise, visualize, analyse, analyze, search for, look into, observe, trace, fetch, scan"""
)
LIST_VERBS = _phrases(
    """search, list, browse, filter, sort, search for, look through, explore, compare, query, look for"""
)
UPDATE_VERBS = _phrases(
    """update, edit, change, modify, correct, adjust, amend, revise, customise, customize, configure, alter, refine,
    fix, complete with, fill, tweak, improve, keep up to date, correct, overwrite, maintain, set"""
)
MANAGE_VERBS = _phrases(
    """manage, maintain, administer, handle, keep, keep track of, organise, organize, oversee, look after, run"""
)
# Of the verbs that make things, those that more often do something to a thing that is there.
WEAK_CREATE_VERBS = _phrases(
    """send, share, take, leave, put, hold, run, give, store, save, generate, prepare, describe, announce, ship,
    check in, pay, refer, ask, message,"""
    "bring in, take in, host, list, import, open, make, set, issue, order, request, report, launch, "
    "publish, post, sell, build, form, award"
)
DELETE_VERBS = _phrases("""delete, remove, erase, discard, drop, unsubscribe from, purge, clear, take off, take down""")
RESCHEDULE_VERBS = _phrases(
    """reschedule, postpone, move, shift, delay, prolong, extend, renew, bring forward, push back, change the time"""
)
# Verbs that move a thing in time or to another thing.
MOVING_VERBS = RESCHEDULE_VERBS | {"transfer", "switch", "relocate"}
ASSIGN_VERBS = _phrases(
    """assign, reassign, allocate, appoint, delegate, match, dispatch, hand over, pair, re-assign, attach, link,
    claim, pick up, take on"""
)

# Verbs that move a thing from one state to the next, with the state they lead to where it is no participle.
TRANSITION_VERBS = MappingProxyType(
    dict.fromkeys(
        _phrases(
            """cancel, approve, reject, accept, decline, deny, refuse, defer, scrap, merge, lend, take off, complete, finish, close, open, reopen, publish, unpublish, archive, unarchive, activate, deactivate, reactivate, suspend, resume, start, submit, resubmit,
    confirm, return, ship, deliver, dispatch, pay, resolve, escalate, lock, unlock, verify, freeze,
    withdraw, refund, retire, pause, stop, end, release, void, expire, receive, pack, pick up, check in,
    check out, collect, fulfil, fulfill, sign, countersign, certify, acknowledge, investigate, settle,
    discharge, dismiss, revoke, restore, terminate, ban, unban, block, unblock, hide, disable, enable,
    redeem, award, grant, endorse, ratify, waive, postpone, abort, lose, win, shortlist, hire, adopt,
    repair, inspect, clean, review, triage, process, invoice, sell, seat, serve, prepare, cook, load,
    unload, plant, harvest, admit, graduate, quarantine, recall, schedule, finalise, finalize, distribute,
    validate, implement, translate, score, evaluate, judge, disqualify, forfeit, register, mute, shelve,
    ground, board, land, check-in, check-out, mark, flag, retract, decommission, dispute, clear,
    reconcile, post, authorise, authorize, put on hold, call off, sign off, write off, hand over, hand
    out, promote, book, order, request, reserve"""  # noqa: E501 - a list of words
        ),
        "",
    )
    | {
        "submit for review": "in_review",
        "call off": "cancelled",
        "put on hold": "on_hold",
        "reopen": "open",
        "open": "open",
        "start": "in_progress",
        "resume": "active",
        "activate": "active",
        "reactivate": "active",
        "enable": "active",
        "deactivate": "inactive",
        "disable": "inactive",
        "unlock": "active",
        "unblock": "active",
        "unban": "active",
        "unarchive": "active",
        "restore": "active",
        "unpublish": "draft",
    }
)

# States after which nothing is left to do, or from which only a named way leads back.
FINAL_STATES = _words(
    """cancelled canceled done completed complete closed rejected declined denied archived expired refunded returned
    delivered withdrawn retired finished resolved settled dismissed revoked terminated ended abandoned void
    voided lost stolen sold adopted graduated failed passed won disposed decommissioned no_show noshow missed
    hired discharged collected fulfilled redeemed served fixed repaired solved deleted paid written_off
    attended dropped"""
)
# Final states that a thing may reach from every unfinished state.
ABORTED_STATES = _words(
    """cancelled canceled withdrawn abandoned void voided expired terminated lost stolen retired decommissioned
    deleted dropped failed"""
)
# Final states decided at the same moment as their positive sibling.
REFUSED_STATES = _words("rejected declined denied refused dismissed disapproved no_show noshow missed")

# Pairs of a verb and the one that undoes it.
OPPOSITES = MappingProxyType(
    {
        "close": "reopen",
        "archive": "restore",
        "publish": "unpublish",
        "activate": "deactivate",
        "suspend": "resume",
        "pause": "resume",
        "lock": "unlock",
        "block": "unblock",
        "enable": "disable",
        "hide": "show",
        "freeze": "unfreeze",
        "ban": "unban",
    }
)

# A verb and the noun of the record it leaves behind.
DEED_NOUNS = MappingProxyType(
    {
        "borrow": ("loan", "borrowing", "lending", "checkout"),
        "lend": ("loan", "lending"),
        "check out": ("loan", "checkout", "rental"),
        "rent": ("rental", "rent", "lease", "hire"),
        "lease": ("lease", "rental"),
        "hire": ("rental", "hire", "booking"),
        "reserve": ("reservation", "booking", "hold"),
        "book": ("booking", "reservation", "appointment"),
        "enroll": ("enrollment", "enrolment", "registration"),
        "enrol": ("enrolment", "enrollment", "registration"),
        "register": ("registration", "enrollment", "sign-up", "signup"),
        "sign up": ("registration", "sign-up", "signup", "enrollment", "subscription", "assignment"),
        "apply": ("application",),
        "subscribe": ("subscription",),
        "donate": ("donation",),
        "give": ("donation", "gift"),
        "review": ("review",),
        "rate": ("rating", "review"),
        "comment": ("comment",),
        "vote": ("vote",),
        "bid": ("bid",),
        "purchase": ("purchase", "order", "sale"),
        "buy": ("purchase", "order", "sale"),
        "order": ("order",),
        "sell": ("sale",),
        "pay": ("payment",),
        "join": ("membership", "registration", "participation", "enrollment"),
        "attend": ("attendance", "participation", "registration"),
        "pledge": ("pledge", "donation"),
        "adopt": ("adoption",),
        "nominate": ("nomination",),
        "invite": ("invitation", "invite"),
        "message": ("message",),
        "refer": ("referral",),
        "inspect": ("inspection",),
        "deliver": ("delivery",),
        "visit": ("visit",),
        "rsvp": ("rsvp", "response"),
        "complain": ("complaint",),
        "claim": ("claim",),
        "request": ("request",),
        "harvest": ("harvest",),
        "score": ("score", "rating"),
        "grade": ("grade",),
        "evaluate": ("evaluation", "score"),
        "assess": ("assessment",),
        "answer": ("answer",),
        "reply": ("reply", "response"),
        "survey": ("survey",),
        "volunteer": ("sign-up", "registration", "assignment"),
        "tip": ("tip",),
    }
)
# Of these, the ones that always leave a record, even where the vision names none.
STRONG_DEEDS = _words("borrow rent reserve enroll enrol subscribe donate bid lend") | {"sign up", "apply", "register"}

# Things that are made by being booked; everything else that is booked gets a booking.
BOOKED_THINGS = _words(
    """appointment meeting visit session lesson consultation viewing trip ride call slot checkup check-up treatment
    interview tour stay flight test-drive service inspection booking reservation"""
)

JOIN_NOUNS = _words(
    """enrollment enrolment membership booking registration loan reservation subscription assignment participation
    attendance rental application sign-up signup placement allocation appointment invitation order-line
    order-item"""
)

# Words that are nouns and verbs alike; where a verb must stand, the parser is told so.
AMBIGUOUS_VERBS = _words(
    """access answer approach archive assign auction audit award ban bid bill block board book borrow brew browse
    budget call cancel cast catch change charge check claim clean clear click close coach collect comment
    compare complete comprise conduct confirm contact control convert cook copy cover credit cut date deal
    decline deliver deposit design detail direct dispatch dispute display document donate download draft drop
    edit email employ end escalate estimate exchange exercise exit export extend fax feature file fill film
    filter finance find finish flag follow forward freeze fund gauge grade grant group guard guide handle
    harvest help hire hold host import include index interview inform input inspect inventory invite invoice
    issue join judge keep label land launch lead leave lend link list load loan lock log mail maintain manage
    map mark market match measure meet mentor merge message mix monitor move name need note notify number
    offer open operate order organise organize outline own pack package park pass pause pay phone photograph
    pick pin place plan plant play pledge post present preview price print process produce program progress
    project promise promote
    reschedule reopen reassign resubmit purchase push query question queue quote race rank rate read receive recommend
    record redeem refer refund reject release remark remind rent repair repeat replace reply report request
    rescue research reserve reset respond rest return review reward ride roster route run sail sample save
    scan schedule score screen search seat secure select sell send serve service set share shelve shift ship
    shop show sign sort source spend split sponsor stage stamp star start state stock stop store structure
    study submit supply support survey suspend swap switch tag take target task teach tender test time tip
    track trade train transfer transport travel treat trigger tune turn tutor type update upgrade upload use
    value view visit volunteer vote wait walk want warn wash watch water weigh withdraw work write"""
)
KNOWN_VERBS = frozenset(
    word
    for verb in (
        CREATE_VERBS
        | READ_VERBS
        | UPDATE_VERBS
        | MANAGE_VERBS
        | DELETE_VERBS
        | RESCHEDULE_VERBS
        | ASSIGN_VERBS
        | frozenset(TRANSITION_VERBS)
        | AMBIGUOUS_VERBS
        | _words(
            """belong consist contain have comprise include measure examine diagnose prescribe arrive depart vaccinate use
    be"""  # noqa: E501 - a list of words
        )
    )
    for word in (verb, verb.split(" ")[0])
)
# Verbs with a particle that take an object behind it: "check in vehicles", "look for a book".
PHRASAL_VERBS = frozenset(
    verb
    for verb in (CREATE_VERBS | READ_VERBS | UPDATE_VERBS | DELETE_VERBS | ASSIGN_VERBS | frozenset(TRANSITION_VERBS))
    if verb.count(" ") == 1 and verb != "sign up"
)
PARTICLES = _words("up in out off on down over back away through")
MODALS = _words("can may must should will could shall might cannot")
STATE_NOUNS = _words("status state stage phase condition progress")

_IRREGULAR_PLURAL_PERSONS = MappingProxyType({"people": "person", "children": "child", "women": "woman", "men": "man"})


# Roles that run a product for others rather than for themselves.
STAFF_ROLES = _words(
    """admin administrator manager clerk officer receptionist librarian coordinator operator supervisor secretary
    dispatcher moderator staff organiser organizer editor assistant agent recruiter accountant technician
    caretaker warden inspector controller planner"""
)


def is_group(noun: str) -> bool:
    """Tell whether a noun names several people at once, such as a team or staff."""
    return noun.rpartition(" ")[2] in GROUP_PERSON_NOUNS


def is_person(noun: str) -> bool:
    """Tell whether a lower-case singular noun (or compound, by its last word) names a person in a role."""
    last = noun.rpartition(" ")[2]
    if last in PERSON_NOUNS or last in GROUP_PERSON_NOUNS:
        return True
    return last.endswith(("woman", "person", "people", "keeper")) or (
        last.endswith("man") and last not in {"human", "roman"}
    )


def may_be_person(noun: str) -> bool:
    """Tell whether the ending of a noun allows a person, for nouns the list lacks."""
    last = noun.rpartition(" ")[2]
    if is_person(last):
        return True
    return last not in NOT_PERSONS and len(last) > 4 and last.endswith(("er", "or", "ist", "ian", "eer", "ee", "ant"))  # noqa: PLR2004 - a length of a word or name
