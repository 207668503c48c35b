"""Windows' names of time zones, which Azure's documents use, and the zones of the IANA they stand for."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, timedelta, timezone, tzinfo
from functools import cache

# `words before " Standard Time"=area/city`, as Unicode's CLDR pairs them for the zone's own territory.
_STANDARD = (
    "Dateline=Etc/GMT+12;Aleutian=America/Adak;Hawaiian=Pacific/Honolulu;Marquesas=Pacific/Marquesas;Alaskan=America/Anchorage;"
    "Pacific=America/Los_Angeles;US Mountain=America/Phoenix;Mountain=America/Denver;Central America=America/Guatemala;"
    "Central=America/Chicago;Easter Island=Pacific/Easter;Canada Central=America/Regina;SA Pacific=America/Bogota;"
    "Eastern=America/New_York;Haiti=America/Port-au-Prince;Cuba=America/Havana;US Eastern=America/Indiana/Indianapolis;"
    "Paraguay=America/Asuncion;Atlantic=America/Halifax;Venezuela=America/Caracas;Central Brazilian=America/Cuiaba;"
    "SA Western=America/La_Paz;Pacific SA=America/Santiago;Turks And Caicos=America/Grand_Turk;Newfoundland=America/St_Johns;"
    "Tocantins=America/Araguaina;E. South America=America/Sao_Paulo;SA Eastern=America/Cayenne;"
    "Argentina=America/Argentina/Buenos_Aires;Greenland=America/Nuuk;Montevideo=America/Montevideo;Magallanes=America/Punta_Arenas;"
    "Saint Pierre=America/Miquelon;Bahia=America/Bahia;Mid-Atlantic=Etc/GMT+2;Azores=Atlantic/Azores;Cape Verde=Atlantic/Cape_Verde;"
    "Morocco=Africa/Casablanca;GMT=Europe/London;Greenwich=Atlantic/Reykjavik;Sao Tome=Africa/Sao_Tome;W. Europe=Europe/Berlin;"
    "Central Europe=Europe/Budapest;Romance=Europe/Paris;Central European=Europe/Warsaw;W. Central Africa=Africa/Lagos;"
    "Namibia=Africa/Windhoek;Jordan=Asia/Amman;GTB=Europe/Bucharest;Middle East=Asia/Beirut;Egypt=Africa/Cairo;"
    "E. Europe=Europe/Chisinau;Syria=Asia/Damascus;West Bank=Asia/Hebron;South Africa=Africa/Johannesburg;South Sudan=Africa/Juba;"
    "Sudan=Africa/Khartoum;FLE=Europe/Kyiv;Turkey=Europe/Istanbul;Israel=Asia/Jerusalem;Kaliningrad=Europe/Kaliningrad;"
    "Libya=Africa/Tripoli;Arabic=Asia/Baghdad;Arab=Asia/Riyadh;Belarus=Europe/Minsk;Russian=Europe/Moscow;E. Africa=Africa/Nairobi;"
    "Iran=Asia/Tehran;Arabian=Asia/Dubai;Astrakhan=Europe/Astrakhan;Azerbaijan=Asia/Baku;Mauritius=Indian/Mauritius;"
    "Saratov=Europe/Saratov;Georgian=Asia/Tbilisi;Volgograd=Europe/Volgograd;Caucasus=Asia/Yerevan;Afghanistan=Asia/Kabul;"
    "West Asia=Asia/Tashkent;Ekaterinburg=Asia/Yekaterinburg;Pakistan=Asia/Karachi;Qyzylorda=Asia/Qyzylorda;India=Asia/Kolkata;"
    "Sri Lanka=Asia/Colombo;Nepal=Asia/Kathmandu;Central Asia=Asia/Bishkek;Bangladesh=Asia/Dhaka;Omsk=Asia/Omsk;"
    "N. Central Asia=Asia/Novosibirsk;Myanmar=Asia/Yangon;SE Asia=Asia/Bangkok;Altai=Asia/Barnaul;W. Mongolia=Asia/Hovd;"
    "North Asia=Asia/Krasnoyarsk;Tomsk=Asia/Tomsk;China=Asia/Shanghai;North Asia East=Asia/Irkutsk;Singapore=Asia/Singapore;"
    "W. Australia=Australia/Perth;Taipei=Asia/Taipei;Ulaanbaatar=Asia/Ulaanbaatar;North Korea=Asia/Pyongyang;"
    "Aus Central W.=Australia/Eucla;Transbaikal=Asia/Chita;Tokyo=Asia/Tokyo;Korea=Asia/Seoul;Yakutsk=Asia/Yakutsk;"
    "Cen. Australia=Australia/Adelaide;AUS Central=Australia/Darwin;E. Australia=Australia/Brisbane;AUS Eastern=Australia/Sydney;"
    "West Pacific=Pacific/Port_Moresby;Tasmania=Australia/Hobart;Vladivostok=Asia/Vladivostok;Lord Howe=Australia/Lord_Howe;"
    "Bougainville=Pacific/Bougainville;Magadan=Asia/Magadan;Norfolk=Pacific/Norfolk;Sakhalin=Asia/Sakhalin;"
    "Central Pacific=Pacific/Guadalcanal;New Zealand=Pacific/Auckland;Fiji=Pacific/Fiji;Kamchatka=Asia/Kamchatka;"
    "Chatham Islands=Pacific/Chatham;Tonga=Pacific/Tongatapu;Samoa=Pacific/Apia;Line Islands=Pacific/Kiritimati;"
    "Yukon=America/Whitehorse"
)
_OTHER = (
    "Coordinated Universal Time=Etc/UTC;Russia Time Zone 3=Europe/Samara;Russia Time Zone 10=Asia/Srednekolymsk;"
    "Russia Time Zone 11=Asia/Kamchatka;Pacific Standard Time (Mexico)=America/Tijuana;"
    "Mountain Standard Time (Mexico)=America/Mazatlan;Central Standard Time (Mexico)=America/Mexico_City;"
    "Eastern Standard Time (Mexico)=America/Cancun"
)
_OFFSETS = ("UTC-11", "UTC-09", "UTC-08", "UTC-02", "UTC+12", "UTC+13")


@cache
def windows_zones() -> dict[str, str]:
    """The IANA's name of each zone Windows knows, by its name in lower case; `UTC+12` and the like stand for themselves."""
    standard = (pair.split("=") for pair in _STANDARD.split(";"))
    other = (pair.split("=") for pair in _OTHER.split(";"))
    return {
        **{f"{word} standard time".casefold(): name for word, name in standard},
        **{word.casefold(): name for word, name in other},
        **{word.casefold(): word for word in _OFFSETS},
        "utc": "Etc/UTC",
    }


@cache
def iana_zones() -> dict[str, str]:
    """The IANA's names, by themselves in lower case."""
    return {name.casefold(): name for name in zoneinfo.available_timezones()}


def find_zone(name: str | None) -> tzinfo:
    """The zone of that name, Windows' or the IANA's, in any case; UTC when none is named."""
    wanted = (name or "UTC").strip().casefold()
    if wanted in _offsets():
        return timezone(timedelta(hours=_offsets()[wanted]))
    found = windows_zones().get(wanted) or iana_zones().get(wanted)
    return zoneinfo.ZoneInfo(found) if found else UTC


@cache
def _offsets() -> dict[str, int]:
    return {word.casefold(): int(word.removeprefix("UTC")) for word in _OFFSETS}
