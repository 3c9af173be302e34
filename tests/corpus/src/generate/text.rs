//! Words, names and sentences; own writing.

/// A language with lines of text.
pub(super) struct Language {
    pub(super) tag: &'static str,
    pub(super) subject: &'static str,
    pub(super) lines: &'static [&'static str],
}

pub(super) const LANGUAGES: &[Language] = &[
    Language {
        tag: "de",
        subject: "Größere Änderungen am Prüfplan",
        lines: &[
            "Könnten wir uns morgen früh kurz abstimmen?",
            "Schöne Grüße aus Köln",
            "Das heißt, es wäre möglich.",
        ],
    },
    Language {
        tag: "fr",
        subject: "Réunion reportée à l’été",
        lines: &[
            "Ça n’a pas été très clair, désolé.",
            "À bientôt, et bon courage à l’équipe !",
            "Où est le reçu ?",
        ],
    },
    Language {
        tag: "es",
        subject: "¿Mañana por la mañana?",
        lines: &[
            "Aquí está el año pasado en números.",
            "¡Qué rápido! Muchas gracias.",
            "Según el señor Núñez, sí.",
        ],
    },
    Language {
        tag: "pl",
        subject: "Zażółć gęślą jaźń",
        lines: &["Dziękuję za szybką odpowiedź.", "Spotkajmy się w środę o świcie.", "Ćwiczenia są gotowe."],
    },
    Language {
        tag: "cs",
        subject: "Příliš žluťoučký kůň",
        lines: &["Děkuji, přijdu později.", "Účet je připraven k úhradě.", "Hezký večer všem."],
    },
    Language {
        tag: "ru",
        subject: "Отчёт за прошлую неделю",
        lines: &[
            "Добрый день, коллеги!",
            "Пожалуйста, посмотрите вложение.",
            "Встреча перенесена на четверг.",
        ],
    },
    Language {
        tag: "el",
        subject: "Νέα από την Αθήνα",
        lines: &["Καλημέρα σε όλους.", "Ευχαριστώ πολύ για τη βοήθεια.", "Τα λέμε αύριο."],
    },
    Language {
        tag: "he",
        subject: "עדכון שבועי",
        lines: &["שלום לכולם,", "תודה רבה על העזרה.", "נתראה מחר בבוקר."],
    },
    Language {
        tag: "ar",
        subject: "تقرير الأسبوع",
        lines: &["صباح الخير جميعا", "شكرا جزيلا على المساعدة", "نلتقي غدا إن شاء الله"],
    },
    Language {
        tag: "ja",
        subject: "来週の会議について",
        lines: &["お世話になっております。", "資料を添付いたしました。", "よろしくお願いします。"],
    },
    Language {
        tag: "zh",
        subject: "关于下周的会议",
        lines: &["大家好,请查收附件。", "谢谢您的帮助。", "明天上午见。"],
    },
    Language {
        tag: "ko",
        subject: "다음 주 회의 안내",
        lines: &["안녕하세요, 여러분.", "첨부 파일을 확인해 주세요.", "감사합니다."],
    },
    Language {
        tag: "th", subject: "การประชุมสัปดาห์หน้า", lines: &["สวัสดีทุกท่าน", "ขอบคุณมากครับ", "พบกันพรุ่งนี้เช้า"]
    },
    Language {
        tag: "hi",
        subject: "अगले सप्ताह की बैठक",
        lines: &["नमस्ते सभी को", "आपकी सहायता के लिए धन्यवाद।", "कल सुबह मिलते हैं।"],
    },
    Language {
        tag: "tr",
        subject: "Gelecek haftaki toplantı",
        lines: &["Günaydın, iyi çalışmalar.", "Şimdiden teşekkür ederim.", "Öğleden sonra görüşürüz."],
    },
    Language {
        tag: "vi",
        subject: "Cuộc họp tuần tới",
        lines: &["Chào mọi người,", "Cảm ơn bạn rất nhiều.", "Hẹn gặp lại ngày mai."],
    },
    Language {
        tag: "mul",
        subject: "🎉 Party 🎂 👩‍👩‍👧‍👦",
        lines: &["😀 smile 🇪🇺 flags", "e\u{301} and é look alike", "Zero\u{200b}width and \u{202e}turned"],
    },
];

/// The same words in charsets that are not UTF-8: label, subject, body.
pub(super) const LEGACY: &[(&str, &[u8], &[u8])] = &[
    ("iso-8859-1", b"Sch\xf6ne Gr\xfc\xdfe", b"Voil\xe0 du caf\xe9 fran\xe7ais\r\n"),
    ("iso-8859-2", b"\xa3\xf3d\xbc", b"Dzi\xeakuj\xea bardzo\r\n"),
    ("iso-8859-15", b"100 \xa4", b"C\x9cur c\xbdur \xa4\r\n"),
    ("windows-1252", b"\x93quoted\x94 \x80", b"It\x92s 5 \x80 \x96 cheap\r\n"),
    ("windows-1251", b"\xcf\xf0\xe8\xe2\xe5\xf2", b"\xc4\xee\xe1\xf0\xfb\xe9 \xe4\xe5\xed\xfc\r\n"),
    ("koi8-r", b"\xf0\xd2\xc9\xd7\xc5\xd4", b"\xe4\xcf\xc2\xd2\xd9\xca \xc4\xc5\xce\xd8\r\n"),
    ("iso-8859-7", b"\xca\xe1\xeb\xe7\xec\xdd\xf1\xe1", b"\xc5\xf5\xf7\xe1\xf1\xe9\xf3\xf4\xfe\r\n"),
    ("iso-8859-8-i", b"\xf9\xec\xe5\xed", b"\xfa\xe5\xe3\xe4 \xf8\xe1\xe4\r\n"),
    ("shift_jis", b"\x93\xfa\x96\x7b\x8c\xea", b"\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd\r\n"),
    ("euc-jp", b"\xc6\xfc\xcb\xdc\xb8\xec", b"\xa4\xb3\xa4\xf3\xa4\xcb\xa4\xc1\xa4\xcf\r\n"),
    ("iso-2022-jp", b"\x1b$BF|K\\8l\x1b(B", b"\x1b$B$3$s$K$A$O\x1b(B\r\n"),
    ("gb2312", b"\xc4\xe3\xba\xc3", b"\xd6\xd0\xce\xc4\r\n"),
    ("gb18030", b"\xc4\xe3\xba\xc3", b"\x81\x30\x86\x30 \xd6\xd0\xce\xc4\r\n"),
    ("big5", b"\xa7A\xa6n", b"\xa4\xa4\xa4\xe5\r\n"),
    ("euc-kr", b"\xbe\xc8\xb3\xe7", b"\xc7\xd1\xb1\xb9\xbe\xee\r\n"),
    ("utf-7", b"Hi +Jjo-", b"Hi Mom +Jjo-\r\n"),
    ("utf-16", b"\xfe\xff\x00H\x00i", b"\xfe\xff\x00H\x00i\x00\r\x00\n"),
    ("x-unknown-charset", b"caf\xe9", b"na\xefve\r\n"),
];

pub(super) const WORDS: &[&str] = &[
    "meeting", "the", "report", "of", "last", "week", "budget", "and", "server", "is", "ready", "please",
    "review", "draft", "before", "monday", "invoice", "attached", "with", "release", "notes", "for",
    "customer", "question", "about", "delivery", "tomorrow", "lunch", "garden", "bicycle", "photo", "trip",
    "ticket", "number", "open",
];

pub(super) const NAMES: &[&str] = &[
    "Ann Example",
    "Bob O'Neil",
    "Carla de la Cruz",
    "D. J. Smith",
    "Eve (Sales)",
    "Frank, Jr.",
    "Gus Van Example",
    "Support Team",
    "no reply",
    "Mary-Jane Watson",
];

pub(super) const DOMAINS: &[&str] =
    &["example.test", "example.org", "mail.example.com", "x.test", "sub.domain.example.net", "[192.0.2.7]"];

pub(super) const AGENTS: &[&str] = &[
    "Mutt/2.2.9 (2022-11-12)",
    "Mozilla Thunderbird",
    "Alpine 2.26",
    "Notmuch/0.37",
    "A mailer with a (comment)",
];

pub(super) const MONTHS: &[&str] =
    &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
