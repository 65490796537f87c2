"""The Danish texts of enrolment: codes, keys, files, and why a node is not taken."""

ENROLMENT: dict[str, str] = {
    # Codes.
    "Print a one-time code by which nodes are enrolled over the network.": (
        "Vis en engangskode, som noder tilmeldes med over netværket."
    ),
    "How many nodes it may enrol.": "Hvor mange noder den må tilmelde.",
    "How long it is valid.": "Hvor mange minutter den gælder.",
    "Let it give known nodes other keys as well.": "Lad den også give kendte noder andre nøgler.",
    "List the valid codes; make none.": "Vis de gyldige koder; lav ingen.",
    "End a code at once.": "Træk en kode tilbage med det samme.",
    "Code number {number}. Nodes: {nodes}. Valid for {minutes} minutes, or until the"
    " gateway restarts. Whoever has it can enrol nodes: tell it to the technician only": (
        "Kode nummer {number}. Noder: {nodes}. Gælder i {minutes} minutter, eller til gatewayen"
        " genstarter. Enhver, der har den, kan tilmelde noder: giv den kun til teknikeren"
    ),
    "the enrolment code {number} is withdrawn": "tilmeldingskode {number} er trukket tilbage",
    "there is no valid code {number}": "der er ingen gyldig kode {number}",
    "No enrolment code is valid": "Ingen tilmeldingskode gælder",
    "number": "nummer",
    "nodes": "noder",
    "enrolled": "tilmeldt",
    "minutes left": "minutter tilbage",
    "other keys": "andre nøgler",
    "yes": "ja",
    "no": "nej",
    "no gateway runs here. Codes are valid in a running one only. Start it first": (
        "der kører ingen gateway her. Koder gælder kun i en, der kører. Start den først"
    ),
    "this gateway has no UDP port for nodes, so nobody could use a code. Give its"
    " configuration a [udp]": (
        "denne gateway har ingen UDP-port til noder, så ingen kunne bruge en kode. Giv dens"
        " konfiguration en [udp]"
    ),
    "that is not an enrolment code: {count} letters and digits in groups of four, as"
    " feltpost-gateway enrol-code prints it": (
        "det er ikke en tilmeldingskode: {count} bogstaver og cifre i grupper på fire, som"
        " feltpost-gateway enrol-code viser den"
    ),
    "the code is used up (nodes: {count}). Ask for another one": (
        "koden er brugt op (noder: {count}). Bed om en ny"
    ),
    # The gateway's key.
    "Write this gateway's public key, for which enrolment files are encrypted.": (
        "Skriv denne gateways offentlige nøgle, som tilmeldingsfiler krypteres til."
    ),
    "Where to; NAME.feltpost-key by default.": "Hvorhen; NAVN.feltpost-key, hvis intet er angivet.",
    "What people call this gateway: the host's name.": (
        "Hvad gatewayen kaldes; ellers computerens navn."
    ),
    "{file} is the key of {name}. It is not secret. Use it with: feltpost flash"
    " --enrol-file FILE --gateway-key {file}": (
        "{file} er nøglen til {name}. Den er ikke hemmelig. Brug den med: feltpost flash"
        " --enrol-file FIL --gateway-key {file}"
    ),
    "{file} is not a gateway's key file, as feltpost-gateway enrol-key writes it": (
        "{file} er ikke en gateways nøglefil, som feltpost-gateway enrol-key skriver den"
    ),
    "{file} is not an enrolment key": "{file} er ikke en tilmeldingsnøgle",
    "this gateway has no enrolment key, so there is no file for it yet. Make one with:"
    " feltpost-gateway enrol-key": (
        "denne gateway har ingen tilmeldingsnøgle, så der er ingen fil til den endnu. Lav en med:"
        " feltpost-gateway enrol-key"
    ),
    # Files.
    "Enrol the nodes of a file that was encrypted for this gateway; look at each before you do.": (
        "Tilmeld noderne i en fil, der er krypteret til denne gateway; se hver af dem efter først."
    ),
    "An enrolment file.": "En tilmeldingsfil.",
    "Don't ask first.": "Spørg ikke først.",
    "Anybody who has the gateway's public key can have written this file.": (
        "Enhver, der har gatewayens offentlige nøgle, kan have skrevet denne fil."
    ),
    "Are these the nodes that you expect? Enrol them?": (
        "Er det de noder, du venter? Skal de tilmeldes?"
    ),
    "nodes that would change: {count}. Nothing was changed": (
        "noder, der ville blive ændret: {count}. Intet er ændret"
    ),
    "nodes enrolled or changed: {count}": "noder, der er tilmeldt eller ændret: {count}",
    "line": "linje",
    "node": "node",
    "written": "skrevet",
    "what is done": "hvad der sker",
    "remark": "bemærkning",
    "nothing": "intet",
    "it is enrolled": "den tilmeldes",
    "its description is changed": "dens beskrivelse ændres",
    "it gets another key": "den får en anden nøgle",
    "is enrolled already, as {node}": "er allerede tilmeldt som {node}",
    "new: {columns}": "nyt: {columns}",
    "not as here, and passed over: {columns}": "ikke som her, og udeladt: {columns}",
    "is damaged, or was not written by feltpost flash": (
        "er beskadiget eller ikke skrevet af feltpost flash"
    ),
    "the file is for the gateway {name}, whose key is not this one's": (
        "filen er til gatewayen {name}, hvis nøgle ikke er denne gateways"
    ),
    "{file} is too large for an enrolment file": "{file} er for stor til en tilmeldingsfil",
    "{file} is empty": "{file} er tom",
    # Why a node is not taken.
    "is not an enrolment": "er ikke en tilmelding",
    "is not CBOR as an enrolment has it": "er ikke CBOR, som en tilmelding har det",
    "is not an answer to an enrolment": "er ikke et svar på en tilmelding",
    "is not a question about a node": "er ikke et spørgsmål om en node",
    "is not a column of enrolments": "er ikke en kolonne i tilmeldinger",
    "this key was taken away from the node before. Give the node a new one": (
        "denne nøgle er tidligere taget fra noden. Giv noden en ny"
    ),
    "{node} is enrolled with another key. Is it the right board? To give it a new key"
    " on purpose, flash it with --new-identity": (
        "{node} er tilmeldt med en anden nøgle. Er det den rigtige enhed? Skal den have en ny"
        " nøgle med vilje, så flash den med --new-identity"
    ),
    "{node} is enrolled with another key, and this code is for new nodes only. Ask for"
    " one made with: enrol-code --replace": (
        "{node} er tilmeldt med en anden nøgle, og denne kode er kun til nye noder. Bed om en, der"
        " er lavet med: enrol-code --replace"
    ),
    "{node} is the name of {mac} already": "{node} er allerede navnet på {mac}",
}
