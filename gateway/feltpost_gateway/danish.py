"""The Danish texts by their English ones.

A text without an entry here is said in English; a test finds those, and entries whose fields are
not the same.
"""

from feltpost_gateway.danish_enrolment import ENROLMENT
from feltpost_gateway.danish_operating import OPERATING
from feltpost_gateway.danish_service import SERVICE

DANISH: dict[str, str] = {
    **OPERATING,
    **ENROLMENT,
    **SERVICE,
    # Commands and their arguments.
    "Takes readings from Feltpost nodes and forwards them to MQTT brokers.": (
        "Modtager målinger fra Feltpost-noder og sender dem videre til MQTT-brokere."
    ),
    "Run the gateway until SIGTERM or SIGINT.": "Kør gatewayen, indtil SIGTERM eller SIGINT.",
    "Check the configuration and say what is wrong with it.": (
        "Kontrollér konfigurationen, og sig, hvad der er galt med den."
    ),
    "The configuration, in TOML.": "Konfigurationen, i TOML.",
    "As JSON.": "Som JSON.",
    "The nodes and their keys.": "Noderne og deres nøgler.",
    "List the nodes.": "Vis alle noder.",
    "Show a node, and what was done to it.": "Vis en node, og hvad der er gjort ved den.",
    "Add a node; it needs at least mac, name, owner and site.": (
        "Tilføj en node; mac, name, owner og site skal som mindst angives."
    ),
    "Change columns of a node.": "Ret kolonner for en node.",
    "Take a node off the list and shut it out; its readings stay.": (
        "Tag en node af listen, og luk den ude; dens målinger bliver."
    ),
    "Shut a node out at once, by taking its keys away.": (
        "Luk en node ude med det samme ved at tage dens nøgler fra den."
    ),
    "Give a node a new key; its old one stays valid until it has used the new one.\n\n"
    "Without a file of its own the node fetches the key itself, under the one that it has.": (
        "Giv en node en ny nøgle; den gamle gælder, til noden har brugt den nye.\n\n"
        "Uden en fil henter noden selv nøglen, beskyttet af den, som den har."
    ),
    "Note that a node was installed, serviced or calibrated.": (
        "Notér, at en node er sat op, efterset eller kalibreret."
    ),
    "Add and change nodes by a CSV file, all of it or nothing; others stay as they are.": (
        "Tilføj og ret noder ud fra en CSV-fil, det hele eller intet; andre noder røres ikke."
    ),
    "Write the nodes, without their keys, to a CSV file that can be imported.": (
        "Skriv noderne, uden nøgler, til en CSV-fil, som kan importeres."
    ),
    "Its name, owner/site/name, or address.": "Nodens navn, ejer/sted/navn eller adresse.",
    "Where the new key is, as JSON with key_id and key. A file that is not there is made, with"
    " a new key, for the node.": (
        "Hvor den nye nøgle er, som JSON med key_id og key. Findes filen ikke, laves den med en ny"
        " nøgle til noden."
    ),
    "A column of the node, as in CSV files; to be repeated.": (
        "En af nodens kolonner, som i CSV-filer; kan gentages."
    ),
    "What was done.": "Hvad der er gjort.",
    "A remark.": "En bemærkning.",
    "When, UTC.": "Hvornår, UTC.",
    "What was calibrated, such as co2.": "Hvad der er kalibreret, f.eks. co2.",
    "What the node measured then.": "Hvad noden målte da.",
    "What was true, by a reference.": "Hvad der var rigtigt efter en reference.",
    "A CSV file, also Excel's.": "En CSV-fil, også fra Excel.",
    "Show what would change, and change nothing.": "Vis, hvad der ville ændre sig, og ret intet.",
    "Where to, or standard output.": "Hvortil, ellers standardoutput.",
    "As a Danish Excel opens it rightly.": "Så en dansk Excel åbner den rigtigt.",
    "Contact and licence of owners.": "Ejernes kontakt og licens.",
    "Who may see which metric.": "Hvem der må se hvilken måling.",
    "List the owners.": "Vis alle ejere.",
    "Add an owner, or change what is said of one.": (
        "Tilføj en ejer, eller ret, hvad der står om en."
    ),
    "Forget what is said of an owner; nodes keep the name.": (
        "Glem, hvad der står om en ejer; noderne beholder navnet."
    ),
    "List the classes of metrics; one that is not listed is internal.": (
        "Vis målingernes klasser; en, der ikke er på listen, er internal."
    ),
    "Set a metric's class for all nodes that say nothing else (nodes edit --set classes=…).": (
        "Sæt en målings klasse for alle noder, der ikke siger andet (nodes edit --set classes=…)."
    ),
    "The short name that nodes have.": "Det korte navn, som noderne har.",
    "A metric, such as co2.": "En måling, f.eks. co2.",
    "The full name.": "Det fulde navn.",
    "Whom to ask.": "Hvem man kan spørge.",
    "Where to ask.": "Hvor man kan spørge.",
    "The URL of the licence of open data.": "URL'en på licensen for åbne data.",
    "Write readings to a file, with a data dictionary and a DCAT-AP-DK entry beside it.": (
        "Skriv målinger til en fil, med en dataordbog og en DCAT-AP-DK-beskrivelse ved siden af."
    ),
    "Remove a node with its key and all of its readings in this gateway, for ever.": (
        "Fjern en node med dens nøgle og alle dens målinger i denne gateway, for altid."
    ),
    "Where to: a name ending in .csv, .json or .parquet.": (
        "Hvortil: et navn, der ender på .csv, .json eller .parquet."
    ),
    "Of this node only.": "Kun fra denne node.",
    "Of this site only.": "Kun fra dette sted.",
    "Of this owner only.": "Kun fra denne ejer.",
    "Measured from then on, UTC.": "Målt fra da af, UTC.",
    "Measured before then, UTC.": "Målt før da, UTC.",
    "Also what is not open: internal, or internal and private.": (
        "Også det, der ikke er åbent: internal, eller både internal og private."
    ),
    "Where the file will be found, for the catalogue entry.": (
        "Hvor filen vil kunne findes, til katalogbeskrivelsen."
    ),
    "Don't ask.": "Spørg ikke.",
    # What they answer.
    "keys": "nøgler",
    "kept in": "vedligeholdes i",
    "none, shut out": "ingen, lukket ude",
    "the configuration file": "konfigurationsfilen",
    "the registry": "registret",
    "nothing, it is removed": "intet, den er fjernet",
    "a key": "en nøgle",
    "installed": "sat op",
    "serviced": "efterset",
    "calibrated": "kalibreret",
    "{metric} {measured} where {reference} was true": (
        "{metric} {measured}, hvor {reference} var rigtigt"
    ),
    "{mac} {name}: {classes}": "{mac} {name}: {classes}",
    "Nothing is different": "Der er ingen forskel",
    "It has no key yet and can't send. Give it one with: nodes rotate --key-file": (
        "Den har ingen nøgle endnu og kan ikke sende. Giv den en med: nodes rotate --key-file"
    ),
    "kept in the registry from now on, not in the configuration file": (
        "vedligeholdes fra nu af i registret, ikke i konfigurationsfilen"
    ),
    "Its entry in the configuration file has no effect from now on. Take it out there": (
        "Det, der står om den i konfigurationsfilen, gælder ikke længere. Tag det ud dér"
    ),
    "{node} is removed and shut out. Its readings stay; see purge": (
        "{node} er fjernet og lukket ude. Dens målinger bliver; se purge"
    ),
    "{node} is shut out. To let it in again: nodes rotate --key-file": (
        "{node} er lukket ude. Luk den ind igen med: nodes rotate --key-file"
    ),
    "{node} will fetch the key 0x{key_id}. Older keys end when it is first used": (
        "{node} henter nøglen 0x{key_id}. Ældre nøgler slutter, når den bruges første gang"
    ),
    "the node has yet to fetch and use the key 0x{key_id}": (
        "noden mangler at hente og bruge nøglen 0x{key_id}"
    ),
    "{node} has the key 0x{key_id} of {file}. Older keys end when it is first used": (
        "{node} har nøglen 0x{key_id} fra {file}. Ældre nøgler slutter, når den bruges første gang"
    ),
    "{rows} rows: {new} new, {changed} changed, {same} the same": (
        "{rows} rækker: {new} nye, {changed} rettede, {same} uændrede"
    ),
    "{rows} rows: {new} would be new, {changed} changed, {same} the same. Nothing was changed": (
        "{rows} rækker: {new} ville være nye, {changed} rettede, {same} uændrede. Intet er rettet"
    ),
    "{file}: {count} readings": "{file}: {count} målinger",
    "{count} readings are damaged in the store and left out": (
        "{count} målinger er beskadiget i lageret og udeladt"
    ),
    "Remove {node} and all of its readings for ever?": (
        "Skal {node} og alle dens målinger fjernes for altid?"
    ),
    "{node} is gone: {readings} readings, {gaps} gaps, {reports} reports, {history} notes, {keys}"
    " keys. What destinations have of it stays there": (
        "{node} er væk: {readings} målinger, {gaps} huller, {reports} rapporter, {history} notater,"
        " {keys} nøgler. Hvad modtagerne har fra den, bliver hos dem"
    ),
    "It is in the configuration file. Take it out there before the next start": (
        "Den står i konfigurationsfilen. Tag den ud dér før næste start"
    ),
    "{file} may still have readings of it": "{file} kan stadig have målinger fra den",
    # What is wrong with what was given.
    "row {row}": "række {row}",
    "column {column}": "kolonne {column}",
    "{file}: {reason}": "{file}: {reason}",
    "is empty": "er tom",
    "is empty; a position has latitude and longitude": (
        "er tom; en position har både latitude og longitude"
    ),
    "is empty; a new key id needs a key": "er tom; et nyt nøgle-id kræver en nøgle",
    "is empty; a key needs a key id": "er tom; en nøgle kræver et nøgle-id",
    "is not an e-mail address": "er ikke en e-mailadresse",
    "is not the URL of a licence": "er ikke URL'en på en licens",
    'is not a MAC address, such as "02:00:00:00:00:01"': (
        'er ikke en MAC-adresse, f.eks. "02:00:00:00:00:01"'
    ),
    "has 56 bits; a MAC address has 48 or 64": "har 56 bit; en MAC-adresse har 48 eller 64",
    'is not 1 to 7 bytes in hexadecimal, such as "0x01"': (
        'er ikke 1 til 7 byte i hexadecimal, f.eks. "0x01"'
    ),
    "is not {count} bytes in hexadecimal": "er ikke {count} byte i hexadecimal",
    "is not a column of nodes": "er ikke en kolonne for noder",
    "is in an earlier row already": "står allerede i en tidligere række",
    "is in the registry already. Change it with: nodes edit": (
        "er allerede i registret. Ret den med: nodes edit"
    ),
    "is not in the registry. Add it with: nodes add": (
        "er ikke i registret. Tilføj den med: nodes add"
    ),
    "{node} has no key under which it could fetch a new one. Give it one with: nodes rotate"
    " --key-file": (
        "{node} har ingen nøgle, som den kan hente en ny under. Giv den en med: nodes rotate"
        " --key-file"
    ),
    "would replace the node's key. Change it with: nodes rotate": (
        "ville erstatte nodens nøgle. Skift den med: nodes rotate"
    ),
    "has more than {count} characters": "har mere end {count} tegn",
    "has a line break or another control character": "har et linjeskift eller et andet styretegn",
    "has a character that MQTT topics don't allow (/, +, # or a control)": (
        "har et tegn, som MQTT-emner ikke tillader (/, +, # eller et styretegn)"
    ),
    "{value} is not a number": "{value} er ikke et tal",
    "{value} is not between {least} and {most}": "{value} er ikke mellem {least} og {most}",
    "{value} is not a setting; there are indoor, outdoor and water": (
        "{value} er ikke en slags sted; der er indoor, outdoor og water"
    ),
    "{value} is not a class; there are open, internal and private": (
        "{value} er ikke en klasse; der er open, internal og private"
    ),
    "{value} is not the name of a metric": "{value} er ikke navnet på en måling",
    "{value} has two classes": "{value} har to klasser",
    '"{value}" is not a metric and its class, such as co2=open': (
        '"{value}" er ikke en måling og dens klasse, f.eks. co2=open'
    ),
    '"{value}" is not a column and its text, such as room=3.B': (
        '"{value}" er ikke en kolonne og dens tekst, f.eks. room=3.B'
    ),
    "{file} is not JSON with key_id and key, both in hexadecimal": (
        "{file} er ikke JSON med key_id og key, begge i hexadecimal"
    ),
    "{file} does not end in .csv, .json or .parquet": (
        "{file} ender ikke på .csv, .json eller .parquet"
    ),
    "the file is empty; its first row must name the columns": (
        "filen er tom; dens første række skal nævne kolonnerne"
    ),
    'the first row has no column "mac", by which nodes are known': (
        'første række har ingen kolonne "mac", som noder kendes på'
    ),
    'the first row has a column "{name}". There are {columns}': (
        'første række har en kolonne "{name}". Der er {columns}'
    ),
    'the first row has the column "{name}" twice': ('første række har kolonnen "{name}" to gange'),
    "line {line} is not CSV ({reason})": "linje {line} er ikke CSV ({reason})",
    "row {row} has {count} cells, the first row {head}. Put a cell that has the delimiter in it"
    " into quotes": (
        "række {row} har {count} celler, første række {head}. Sæt en celle med skilletegnet i"
        " anførselstegn"
    ),
    # What can't be done.
    "there is no node {name}. Give its name or its address": (
        "der er ingen node {name}. Angiv dens navn eller adresse"
    ),
    "there is more than one node {name}: {paths}. Write one of these instead": (
        "der er mere end én node {name}: {paths}. Skriv en af disse i stedet"
    ),
    "there is no owner {name}": "der er ingen ejer {name}",
    "no node is of that name, site and owner": "ingen node har det navn, det sted og den ejer",
    "these are readings of several owners, {owners}. Give one of them with --owner": (
        "det er målinger fra flere ejere, {owners}. Angiv en af dem med --owner"
    ),
    "{owner}/{site} would have two nodes {name}, {mac} and {other}. Give one of them another"
    " name": (
        "{owner}/{site} ville have to noder {name}, {mac} og {other}. Giv en af dem et andet navn"
    ),
    "the key id 0x{key_id} belongs to a key of {mac} already. Give the new key another id": (
        "nøgle-id'et 0x{key_id} hører allerede til en nøgle for {mac}. Giv den nye nøgle et andet"
    ),
    "Parquet takes the Python library pyarrow, which is not installed and not in Debian 13."
    " Install it, or export CSV or JSON": (
        "Parquet kræver Python-biblioteket pyarrow, som ikke er installeret og ikke er i Debian 13."
        " Installér det, eller eksportér CSV eller JSON"
    ),
    "the running gateway has no command {name}. Restart it": (
        "den kørende gateway har ingen kommando {name}. Genstart den"
    ),
    "the running gateway does not understand this command. Restart it": (
        "den kørende gateway forstår ikke denne kommando. Genstart den"
    ),
    "the gateway did not answer ({reason}). Look into its log": (
        "gatewayen svarede ikke ({reason}). Se i dens log"
    ),
    "{file}: only the gateway's user may use it": "{file}: kun gatewayens bruger må bruge den",
    # What goes with exported data.
    "Sensor readings": "Sensormålinger",
    "Readings of Feltpost nodes.": "Målinger fra Feltpost-noder.",
    "Readings of sensors, with their time, place, unit and number.": (
        "Målinger fra sensorer med tid, sted, enhed og nummer."
    ),
    "Readings as one file": "Målinger som én fil",
    "Environment": "Miljø",
    "When it was measured, in UTC.": "Hvornår der er målt, i UTC.",
    "The node's address, as a URN (RFC 9039).": "Nodens adresse som URN (RFC 9039).",
    "The node's name.": "Nodens navn.",
    "Who owns the node and its readings.": "Hvem der ejer noden og dens målinger.",
    "Where the node is.": "Hvor noden er.",
    "The room, where the node is in one.": "Rummet, hvis noden er i et rum.",
    "Degrees north (WGS 84), where known.": "Grader nord (WGS 84), hvis kendt.",
    "Degrees east (WGS 84), where known.": "Grader øst (WGS 84), hvis kendt.",
    "What was measured.": "Hvad der er målt.",
    "The place or number of the sensor, where a node has more than one.": (
        "Sensorens sted eller nummer, hvis en node har flere."
    ),
    "The value: a number, or true or false.": "Værdien: et tal, eller sand eller falsk.",
    "The unit by RFC 8428 and RFC 8798; empty for true and false.": (
        "Enheden efter RFC 8428 og RFC 8798; tom for sand og falsk."
    ),
    "What is to be known of the reading, added up: 1, its time was reconstructed; 2, it was"
    " measured before the time given; 4, it is outside the plausible range.": (
        "Hvad man skal vide om målingen, lagt sammen: 1, tiden er rekonstrueret; 2, der er målt før"
        " den angivne tid; 4, værdien er uden for det sandsynlige."
    ),
    "The node's journal, which numbers its readings.": (
        "Nodens journal, som nummererer dens målinger."
    ),
    "The reading's number in its journal; a reading has one, for ever.": (
        "Målingens nummer i journalen; en måling har ét, for altid."
    ),
}
