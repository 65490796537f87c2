"""The Danish texts of what looks after a running gateway: status, tail, doctor, check-config."""

OPERATING: dict[str, str] = {
    # Status, destinations, tail.
    "Show what is wrong and since when, and how complete each node's readings are.": (
        "Vis, hvad der er galt og siden hvornår, og hvor fuldstændige hver nodes målinger er."
    ),
    "How many days to show.": "Hvor mange dage der vises.",
    "One node only: name or owner/site/name.": "Kun én node: navn eller ejer/sted/navn.",
    "Show the destinations, what waits for them, and what they refused for good.": (
        "Vis modtagerne, hvad der venter til dem, og hvad de har afvist for altid."
    ),
    "List the messages that were refused.": "Vis de beskeder, der er afvist.",
    "Send a destination once more what it refused.": (
        "Send en modtager det igen, som den har afvist."
    ),
    "Give up what a destination refused; it is lost then.": (
        "Opgiv det, en modtager har afvist; så er det tabt."
    ),
    "{name}: {count} messages go out again": "{name}: {count} beskeder sendes igen",
    "{name}: {count} messages given up": "{name}: {count} beskeder er opgivet",
    "there is no destination {name}; there are: {names}": (
        "der er ingen modtager {name}; der er: {names}"
    ),
    "requests since its start that were no node's: {counts}": (
        "forespørgsler siden start, som ikke var en nodes: {counts}"
    ),
    "there is no destination {name}, nor any other": "der er hverken modtager {name} eller andre",
    "Show readings as they come, until interrupted.": (
        "Vis målinger, når de kommer, indtil der afbrydes."
    ),
    "Begin with so many stored packs.": "Begynd med så mange gemte pakker.",
    "End after so many readings.": "Slut efter så mange målinger.",
    "As JSON, one a line.": "Som JSON, én pr. linje.",
    "{node}: a pack can't be read: {reason}": "{node}: en pakke kan ikke læses: {reason}",
    "gateway: running, process {pid}": "gateway: kører, proces {pid}",
    "gateway: not running": "gateway: kører ikke",
    "store: {packs} packs, {size} MiB": "lager: {packs} pakker, {size} MiB",
    "nothing is wrong": "intet er galt",
    "gateway": "gateway",
    "since": "siden",
    "where": "hvor",
    "what": "hvad",
    "node": "node",
    "last contact": "seneste kontakt",
    "never": "aldrig",
    "day": "dag",
    "expected": "ventet",
    "arrived": "kommet",
    "missing": "mangler",
    "destination": "modtager",
    "broker": "broker",
    "format": "format",
    "class": "klasse",
    "packs waiting": "pakker venter",
    "oldest": "ældste",
    "refused": "afvist",
    "noted": "noteret",
    "journal": "journal",
    "numbers": "numre",
    "topic": "emne",
    "reason": "grund",
    "List what is missing: how many readings of which node, why, and when they were measured.": (
        "Vis, hvad der mangler: hvor mange målinger af hvilken node, hvorfor, og hvornår målt."
    ),
    "nothing is missing": "intet mangler",
    "measured after": "målt efter",
    "and before": "og før",
    # Why readings are missing.
    "may still come": "kan stadig komme",
    "journal full": "journal fuld",
    "page corrupt": "side ødelagt",
    "rejected": "afvist",
    "lost with power": "tabt med strømmen",
    "unreadable here": "ulæselig her",
    "given up here, disk full": "opgivet her, disk fuld",
    "lost here, store damaged": "tabt her, lager beskadiget",
    # What is wrong.
    "silent; usually heard every {minutes} min. Look at its power and its link": (
        "tavs; høres normalt hvert {minutes}. minut. Se efter strøm og forbindelse"
    ),
    "silent since its first contact. Look at its power and its link": (
        "tavs siden første kontakt. Se efter strøm og forbindelse"
    ),
    "battery low: {value}": "batteri lavt: {value}",
    "sensor {sensor} {fault}": "sensor {sensor} {fault}",
    "does not respond": "svarer ikke",
    "is another chip than expected": "er en anden chip end ventet",
    "sends bad checksums": "sender forkerte kontrolsummer",
    "is never ready": "er aldrig klar",
    "is out of range": "er uden for måleområdet",
    "can't be written": "kan ikke skrives",
    "has a fault": "har en fejl",
    "does not learn the time: its readings are dated by what is known of them": (
        "får ikke tiden at vide: dens målinger dateres efter det, man ved om dem"
    ),
    "journal {percent} % full: it can't send as fast as it measures": (
        "journal {percent} % fuld: den kan ikke sende så hurtigt, som den måler"
    ),
    "crashed: {traceback}": "brød ned: {traceback}",
    "in safe mode after many bad starts; it measures nothing": (
        "i sikker tilstand efter mange mislykkede starter; den måler intet"
    ),
    "configuration: {problems}": "konfiguration: {problems}",
    "the gateway's clock is not set. Look at its time service": (
        "gatewayens ur er ikke stillet. Se efter dens tidstjeneste"
    ),
    "the store is {percent} % full of readings that a destination lacks": (
        "lageret er {percent} % fuldt af målinger, som en modtager mangler"
    ),
    "the store is full: make room on the disk, or raise max_size_mib": (
        "lageret er fuldt: skaf plads på disken, eller hæv max_size_mib"
    ),
    "destination {name} takes nothing; the oldest reading waits since {time}": (
        "modtager {name} tager ikke imod; den ældste måling venter siden {time}"
    ),
    "destination {name} refused {count} messages for good. See: destinations --refused": (
        "modtager {name} har afvist {count} beskeder for altid. Se: destinations --refused"
    ),
    "{certificate} ends on {day}. Renew it": "{certificate} udløber {day}. Forny det",
    # The store, seen from outside.
    "{file} can't be read by this user. Run the command as the gateway's user, or with sudo": (
        "{file} kan ikke læses af denne bruger. Kør kommandoen som gatewayens bruger eller med sudo"
    ),
    "there is no store {file} yet. It is made when the gateway runs": (
        "der er endnu ikke noget lager {file}. Det oprettes, når gatewayen kører"
    ),
    # Doctor.
    "Look for what keeps the gateway from working; run it as the gateway's user.\n\nEnds with 1"
    " where something failed, with 0 where nothing or only a warning was found.": (
        "Find det, der hindrer gatewayen i at virke; køres som gatewayens bruger.\n\nSlutter med 1,"
        " hvor noget fejlede, og med 0, hvor der intet eller kun en advarsel blev fundet."
    ),
    "ok": "i orden",
    "warning": "advarsel",
    "failed": "fejl",
    "{reason}": "{reason}",
    "may be used": "må bruges",
    "is closed to others": "er lukket for andre",
    "is left to the running gateway, process {pid}": (
        "overlades til den kørende gateway, proces {pid}"
    ),
    "is free": "er ledig",
    "is not a serial port": "er ikke en seriel port",
    "name the port, such as /dev/ttyUSB0 or one of /dev/serial/by-id/": (
        "angiv porten, fx /dev/ttyUSB0 eller en fra /dev/serial/by-id/"
    ),
    "may not be used by this user": "må ikke bruges af denne bruger",
    "run: sudo usermod -aG {group} USER, and restart the gateway": (
        "kør: sudo usermod -aG {group} BRUGER, og genstart gatewayen"
    ),
    "holds secrets and is open to others (mode {mode})": (
        "indeholder hemmeligheder og er åben for andre (rettigheder {mode})"
    ),
    "run: sudo chmod 600 {path}": "kør: sudo chmod 600 {path}",
    "shows a time before this program was made, so it is not set": (
        "viser en tid, før dette program blev lavet, så det er ikke stillet"
    ),
    "set it, or give the computer a time service: sudo timedatectl set-ntp true": (
        "stil det, eller giv computeren en tidstjeneste: sudo timedatectl set-ntp true"
    ),
    "is set, but no time service keeps it right": (
        "er stillet, men ingen tidstjeneste holder det rigtigt"
    ),
    "run: sudo timedatectl set-ntp true; where the network has a time server of its own, name it"
    " in /etc/systemd/timesyncd.conf": (
        "kør: sudo timedatectl set-ntp true; har netværket sin egen tidsserver, så skriv den i"
        " /etc/systemd/timesyncd.conf"
    ),
    "is set and kept right": "er stillet og holdes rigtigt",
    "is not there": "findes ikke",
    "make it, and give it to the gateway's user: sudo install -d -o USER {path}": (
        "opret den, og giv den til gatewayens bruger: sudo install -d -o BRUGER {path}"
    ),
    "is on a file system that is read-only; an SD card does that when it fails": (
        "er på et filsystem, der kun kan læses; det sker, når et SD-kort er ved at svigte"
    ),
    "look at the kernel's messages (sudo dmesg) and replace the card": (
        "se kernens meddelelser (sudo dmesg), og udskift kortet"
    ),
    "can't be written by this user": "kan ikke skrives af denne bruger",
    "run this as the gateway's user, or with sudo": (
        "kør dette som gatewayens bruger eller med sudo"
    ),
    "has {free} MiB left, less than the {least} MiB that the gateway leaves free": (
        "har {free} MiB tilbage, mindre end de {least} MiB, som gatewayen lader være fri"
    ),
    "remove what is not needed, or lower min_free_mib in [store]": (
        "fjern det unødvendige, eller sænk min_free_mib i [store]"
    ),
    "has {free} MiB left": "har {free} MiB tilbage",
    "is on {kind}, which may be empty after a restart": (
        "er på {kind}, som kan være tomt efter en genstart"
    ),
    "put the store on a disk or an SD card: path in [store]": (
        "læg lageret på en disk eller et SD-kort: path i [store]"
    ),
    "is on {kind}, which does not keep what a power cut interrupts": (
        "er på {kind}, som ikke bevarer det, et strømsvigt afbryder"
    ),
    "is on {kind}, a network file system, where the store can't work": (
        "er på {kind}, et netværksfilsystem, hvor lageret ikke kan virke"
    ),
    "put the store on ext4, xfs, btrfs or f2fs: path in [store]": (
        "læg lageret på ext4, xfs, btrfs eller f2fs: path i [store]"
    ),
    "is mounted with {options}: what was acknowledged may be lost in a power cut": (
        "er monteret med {options}: det, der er kvitteret for, kan gå tabt ved et strømsvigt"
    ),
    "take that out of /etc/fstab and restart the computer": (
        "tag det ud af /etc/fstab, og genstart computeren"
    ),
    "was damaged, and is kept; what could be read of it is in the store": (
        "blev beskadiget og er gemt; det, der kunne læses, er i lageret"
    ),
    "look at the disk's health, then move the file away": (
        "se efter diskens tilstand, og flyt så filen væk"
    ),
    "is made when the gateway runs": "oprettes, når gatewayen kører",
    "is whole": "er helt",
    "is too large to be checked in a minute": "er for stort til at blive kontrolleret på et minut",
    "is damaged: {reason}": "er beskadiget: {reason}",
    "restart the gateway: it saves what can be read and keeps the damaged file": (
        "genstart gatewayen: den redder det, der kan læses, og gemmer den beskadigede fil"
    ),
    "is not there; the gateway opens it when it appears": (
        "findes ikke; gatewayen åbner den, når den dukker op"
    ),
    "look at the cable and the name: ls -l /dev/serial/by-id/": (
        "se efter kablet og navnet: ls -l /dev/serial/by-id/"
    ),
    "can't be read: {reason}": "kan ikke læses: {reason}",
    "can't be listened on: {reason}": "kan der ikke lyttes på: {reason}",
    "see who has it (sudo ss -lnptu) or configure another port": (
        "se, hvem der har den (sudo ss -lnptu), eller vælg en anden port"
    ),
    "{broker} can be reached; accounts are not tried": ("{broker} kan nås; konti er ikke afprøvet"),
    "{broker} can't be reached: {reason}": "{broker} kan ikke nås: {reason}",
    "look at host and port, at the firewall, and whether the broker runs": (
        "se efter host og port, firewallen, og om brokeren kører"
    ),
    "{broker} does not prove who it is: {reason}": "{broker} beviser ikke, hvem den er: {reason}",
    "give the file of the authority that signed its certificate as ca_file, and the name in that"
    " certificate as host": (
        "angiv filen fra den myndighed, der har underskrevet dens certifikat, som ca_file, og"
        " navnet i certifikatet som host"
    ),
    "{certificate} is good until {time}": "{certificate} gælder til {time}",
    "{certificate} ended on {time}": "{certificate} udløb {time}",
    "{certificate} ends on {time}": "{certificate} udløber {time}",
    "renew it; the gateway takes up new files itself": (
        "forny det; gatewayen tager selv nye filer i brug"
    ),
    "{broker} refuses the login: {reason}": "{broker} afviser login: {reason}",
    "look at username and password, and at the broker's rules for this client": (
        "se efter username og password og brokerens regler for denne klient"
    ),
    "look into the broker's log": "se i brokerens log",
    "{broker} lets in": "{broker} lukker ind",
    "{broker} does not speak MQTT: {reason}": "{broker} taler ikke MQTT: {reason}",
    "no answer to the MQTT connect": "intet svar på MQTT-forbindelsen",
    "look at port, tls and protocol of the destination": (
        "se efter port, tls og protocol for modtageren"
    ),
    # Check-config.
    "{file}: {key}: {warning}": "{file}: {key}: {warning}",
    "{file}: good ({nodes} nodes, {serial} serial ports, {destinations} destinations, {warnings}"
    " warnings)": (
        "{file}: god ({nodes} noder, {serial} serielle porte, {destinations} modtagere, {warnings}"
        " advarsler)"
    ),
    "depends on the directory in which the gateway is started. Begin it with /": (
        "afhænger af den mappe, gatewayen startes i. Begynd den med /"
    ),
    "is not there, and no [[serial]] either: no node can be heard": (
        "findes ikke, og heller ingen [[serial]]: ingen node kan høres"
    ),
    "there are none, here or in the registry: see nodes add": (
        "der er ingen, hverken her eller i registret: se nodes add"
    ),
    "lets everybody in the network read the figures; 127.0.0.1 would not": (
        "lader alle i netværket læse tallene; det gør 127.0.0.1 ikke"
    ),
    "there are none: readings are kept and go nowhere": (
        "der er ingen: målinger gemmes og kommer ingen steder hen"
    ),
    "is 1883, where brokers speak without TLS; theirs is 8883": (
        "er 1883, hvor brokere taler uden TLS; med TLS er den 8883"
    ),
    "is not on, but port 8883 is for TLS": "er ikke slået til, men port 8883 er til TLS",
    "is not on: the password can be read on its way": (
        "er ikke slået til: adgangskoden kan læses undervejs"
    ),
    "no node is of {value}": "ingen node hører til {value}",
    "there is no node {name}": "der er ingen node {name}",
    "{node} has none, so it is left out": "{node} har ingen, så den udelades",
    "{node} has no position, which {format} shows. Set it with: nodes edit": (
        "{node} har ingen position, som {format} viser. Sæt den med: nodes edit"
    ),
}
