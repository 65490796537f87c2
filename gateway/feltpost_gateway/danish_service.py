"""The Danish texts of what makes a gateway run and saves it: setup, backup, restore."""

SERVICE: dict[str, str] = {
    # Setup.
    "Ask for what a gateway needs, try it, write it down, start the service, show a reading.": (
        "Spørg om det, en gateway skal vide, prøv det, skriv det ned, start tjenesten, vis en"
        " måling."
    ),
    "Whose readings these are, in short: aarhus.": "Hvis målinger det er, kort: aarhus.",
    "Where the gateway is, in short: skole-x.": "Hvor gatewayen er, kort: skole-x.",
    "The MQTT broker's name.": "MQTT-brokerens navn.",
    "Its port, if not the usual.": "Dens port, hvis det ikke er den sædvanlige.",
    "Whether it speaks TLS.": "Om den taler TLS.",
    "The authority of its certificate, if not a public one.": (
        "Udstederen af dens certifikat, hvis den ikke er offentlig."
    ),
    "The gateway's user there, empty for none.": "Gatewayens bruger der, tom for ingen.",
    "A file with the password, instead of being asked for it.": (
        "En fil med adgangskoden i stedet for at blive spurgt om den."
    ),
    "A serial port with a node, such as /dev/feltpost/….": (
        "En seriel port med en node, for eksempel /dev/feltpost/…."
    ),
    "Replace the configuration without asking.": "Erstat konfigurationen uden at spørge.",
    "Wait for the first reading.": "Vent på den første måling.",
    "Run it with sudo: it writes to /etc and starts a service": (
        "Kør den med sudo: den skriver i /etc og starter en tjeneste"
    ),
    "{file} is there. Replace it?": "{file} findes. Skal den erstattes?",
    "Whose readings these are, in short (aarhus)": "Hvis målinger det er, kort (aarhus)",
    "Where the gateway is, in short (skole-x)": "Hvor gatewayen er, kort (skole-x)",
    "The MQTT broker's name": "MQTT-brokerens navn",
    "Does it speak TLS?": "Taler den TLS?",
    "The gateway's user there, empty for none": "Gatewayens bruger der, tom for ingen",
    "Its password": "Dens adgangskode",
    "Nothing was changed": "Intet er ændret",
    "{file} is written": "{file} er skrevet",
    "what was there is {file} now": "det, der var der, er nu {file}",
    "systemd does not run here: {reason}": "systemd kører ikke her: {reason}",
    "systemctl {action} failed: {reason} See: journalctl -u {service}": (
        "systemctl {action} mislykkedes: {reason} Se: journalctl -u {service}"
    ),
    "The gateway runs, and does so after each restart of this computer.": (
        "Gatewayen kører og gør det efter hver genstart af denne computer."
    ),
    "Now let a node in: make a code with sudo feltpost-gateway enrol-code, and flash the node with"
    " feltpost flash --owner {owner} --site {site}": (
        "Luk nu en node ind: lav en kode med sudo feltpost-gateway enrol-code, og flash noden med"
        " feltpost flash --owner {owner} --site {site}"
    ),
    "Waiting for the first reading; end this with Ctrl-C.": (
        "Venter på den første måling; afslut med Ctrl-C."
    ),
    # Backup and restore.
    "Save the store, its keys and the configuration to a file, also while the gateway runs.": (
        "Gem lageret, dets nøgler og konfigurationen i en fil, også mens gatewayen kører."
    ),
    "Go on from a backup; the gateway that it was made on must never run again.": (
        "Fortsæt fra en sikkerhedskopi; den gateway, den er lavet på, må aldrig køre igen."
    ),
    "Where to.": "Hvorhen.",
    "A backup.": "En sikkerhedskopi.",
    "Encrypt it under a passphrase.": "Kryptér den med en adgangssætning.",
    "A file with the passphrase, instead of being asked for it.": (
        "En fil med adgangssætningen i stedet for at blive spurgt om den."
    ),
    "Move the store that is here aside.": "Flyt det lager, der er her, til side.",
    "Keep the configuration that is here, not the saved.": (
        "Behold den konfiguration, der er her, ikke den gemte."
    ),
    "Passphrase": "Adgangssætning",
    "Once more": "En gang til",
    "{file}: {size} MiB": "{file}: {size} MiB",
    "It holds the keys of all nodes: keep it as safe as those": (
        "Den rummer alle noders nøgler: pas på den som på dem"
    ),
    "{file} is as it was on {time}. Start the gateway: sudo systemctl restart feltpost-gateway": (
        "{file} er, som det var den {time}. Start gatewayen: sudo systemctl restart"
        " feltpost-gateway"
    ),
    "the store that was here is {file} now": "det lager, der var her, er nu {file}",
    "What was received since then counts as missing here. Keys that were given or taken away since"
    " then are not or are valid again: look through nodes list": (
        "Det, der er modtaget siden, tæller her som manglende. Nøgler, der er givet eller taget"
        " siden, gælder ikke eller gælder igen: se nodes list igennem"
    ),
    "{directory} has no room for a copy of the store, which takes {needed} MiB. Remove what is not"
    " needed": (
        "{directory} har ikke plads til en kopi af lageret, som fylder {needed} MiB. Fjern det, der"
        " ikke er brug for"
    ),
    "there is a store {file} already. With --replace it is moved aside": (
        "der er allerede et lager {file}. Med --replace flyttes det til side"
    ),
    "it is not a backup of a gateway: {reason}": (
        "det er ikke en sikkerhedskopi af en gateway: {reason}"
    ),
    "it was made by a newer gateway (schema version {version}; this one knows versions up to"
    " {known}). Install that version first": (
        "den er lavet af en nyere gateway (skemaversion {version}; denne kender versioner til og"
        " med {known}). Installér først den version"
    ),
    "the store in the backup is damaged: {reason}": (
        "lageret i sikkerhedskopien er beskadiget: {reason}"
    ),
    "the passphrase is not the one of this backup, or the backup is damaged": (
        "adgangssætningen er ikke den, sikkerhedskopien har, eller kopien er beskadiget"
    ),
}
