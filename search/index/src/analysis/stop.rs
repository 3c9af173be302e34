//! Words that say nothing by themselves, of each language: articles, pronouns, prepositions, conjunctions.

/// The stop words of a language by its code (ISO 639-1), in lower case.
pub(super) fn words(code: &str) -> &'static [&'static str] {
    LISTS.iter().find(|(known, _)| *known == code).map_or(&[], |(_, words)| words)
}

#[rustfmt::skip]
const LISTS: &[(&str, &[&str])] = &[
    ("ar", &["في", "من", "على", "إلى", "عن", "أن", "هذا", "هذه", "التي", "الذي", "مع", "هو", "هي", "ما", "لا", "كان", "و", "أو", "ثم", "قد", "كل", "ذلك"]),
    ("ca", &["el", "la", "els", "les", "un", "una", "i", "o", "de", "del", "a", "en", "que", "per", "amb", "no", "es", "és", "al", "als", "com", "més", "ha"]),
    ("cs", &["a", "i", "v", "ve", "na", "se", "že", "je", "to", "z", "s", "do", "o", "k", "ale", "jako", "za", "by", "po", "od", "pro", "jsem", "jsou", "nebo"]),
    ("da", &["og", "i", "jeg", "det", "at", "en", "den", "til", "er", "som", "på", "de", "med", "han", "af", "for", "ikke", "der", "var", "et", "har", "vi", "men", "om"]),
    ("de", &["der", "die", "das", "und", "oder", "in", "im", "zu", "zum", "zur", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "ist", "sind", "war", "ich", "sie", "er", "es", "wir", "mit", "von", "für", "auf", "an", "als", "auch", "nicht", "dass", "bei", "aus", "um", "wie", "nach"]),
    ("el", &["ο", "η", "το", "οι", "τα", "του", "τησ", "των", "τον", "την", "και", "σε", "με", "για", "από", "να", "που", "δεν", "είναι", "θα", "στο", "στη", "στην"]),
    ("en", &["a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "has", "have", "he", "i", "if", "in", "into", "is", "it", "its", "no", "not", "of", "on", "or", "she", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "we", "were", "will", "with", "you"]),
    ("es", &["de", "la", "que", "el", "en", "y", "a", "los", "del", "se", "las", "por", "un", "para", "con", "no", "una", "su", "al", "lo", "como", "más", "pero", "sus", "le", "o", "es"]),
    ("et", &["ja", "on", "ei", "see", "ta", "et", "kui", "ma", "ka", "oli", "mis", "aga", "või", "ning", "nii", "oma", "siis", "seda"]),
    ("fa", &["و", "در", "به", "از", "که", "این", "را", "با", "است", "برای", "آن", "یک", "تا", "بر", "یا", "هم", "نیز", "بود", "شد"]),
    ("fi", &["ja", "on", "ei", "se", "että", "en", "hän", "oli", "mutta", "kun", "niin", "myös", "joka", "tai", "ovat", "sen", "ole", "jos", "minä", "sinä", "me", "te", "he"]),
    ("fr", &["le", "la", "les", "de", "des", "du", "un", "une", "et", "ou", "à", "au", "aux", "en", "dans", "que", "qui", "ne", "pas", "pour", "par", "sur", "avec", "ce", "cette", "il", "elle", "je", "nous", "vous", "est", "sont", "se", "plus", "mais"]),
    ("hi", &["के", "का", "की", "में", "है", "और", "से", "को", "पर", "यह", "वह", "हैं", "ने", "एक", "कि", "भी", "नहीं", "तो", "था", "हो"]),
    ("hu", &["a", "az", "és", "hogy", "nem", "is", "egy", "ez", "de", "van", "volt", "meg", "csak", "már", "mint", "ha", "vagy", "el", "azt", "még"]),
    ("hy", &["և", "է", "ու", "որ", "այս", "այդ", "են", "մեջ", "համար", "հետ", "նա", "ես", "մի", "եմ", "ոչ"]),
    ("id", &["yang", "dan", "di", "dengan", "untuk", "dari", "ini", "itu", "tidak", "ke", "pada", "adalah", "dalam", "akan", "atau", "saya", "juga", "oleh", "sebagai"]),
    ("it", &["il", "lo", "la", "i", "gli", "le", "un", "una", "di", "del", "della", "e", "o", "a", "al", "alla", "in", "nel", "che", "per", "con", "non", "è", "si", "da", "su", "come", "più", "ma", "sono"]),
    ("lt", &["ir", "kad", "yra", "į", "iš", "su", "tai", "ne", "o", "bet", "ar", "kaip", "jis", "ji", "už", "nuo", "prie", "buvo", "apie"]),
    ("ne", &["र", "छ", "को", "मा", "का", "पनि", "यो", "त्यो", "हो", "ले", "लाई", "भने", "गर्न", "एक"]),
    ("nl", &["de", "het", "een", "en", "of", "in", "van", "is", "dat", "op", "te", "zijn", "met", "voor", "niet", "aan", "er", "om", "ook", "als", "bij", "ik", "je", "hij", "ze", "we", "die", "dit", "naar"]),
    ("no", &["og", "i", "jeg", "det", "at", "en", "et", "den", "til", "er", "som", "på", "de", "med", "han", "av", "ikke", "der", "var", "har", "vi", "men", "om", "for"]),
    ("pl", &["i", "w", "we", "z", "ze", "na", "do", "nie", "to", "się", "że", "jest", "o", "jak", "ale", "za", "od", "po", "co", "dla", "by", "czy", "lub", "oraz"]),
    ("pt", &["de", "a", "o", "que", "e", "do", "da", "em", "um", "para", "com", "não", "uma", "os", "no", "se", "na", "por", "mais", "as", "dos", "como", "mas", "ao", "ou", "é"]),
    ("ro", &["și", "de", "la", "în", "cu", "pe", "un", "o", "este", "nu", "că", "din", "pentru", "sau", "mai", "ce", "care", "să", "se", "au", "al", "ale"]),
    ("ru", &["и", "в", "во", "не", "что", "он", "на", "я", "с", "со", "как", "а", "то", "все", "она", "так", "его", "но", "да", "ты", "к", "у", "же", "вы", "за", "бы", "по", "из", "от", "о", "мы", "это", "для"]),
    ("sr", &["и", "је", "у", "на", "се", "да", "за", "од", "са", "не", "су", "као", "али", "i", "je", "u", "na", "se", "da", "za", "od", "sa", "ne", "su", "kao", "ali"]),
    ("sv", &["och", "i", "jag", "det", "att", "en", "ett", "den", "till", "är", "som", "på", "de", "med", "han", "av", "för", "inte", "var", "har", "vi", "men", "om"]),
    ("ta", &["ஒரு", "என்று", "மற்றும்", "இந்த", "அந்த", "என", "அது", "இது", "ஆனால்", "நான்", "உள்ள"]),
    ("tr", &["ve", "bir", "bu", "da", "de", "için", "ile", "çok", "daha", "ne", "o", "gibi", "ama", "ki", "mi", "en", "olarak", "kadar", "değil"]),
    ("uk", &["і", "й", "та", "в", "у", "на", "не", "що", "з", "із", "до", "як", "це", "за", "але", "я", "він", "вона", "ми", "ви", "про", "для", "від", "або"]),
    ("yi", &["די", "דער", "דאָס", "און", "אין", "איז", "פון", "צו", "אַ", "מיט", "ניט", "ער", "זיי", "איך"]),
];
