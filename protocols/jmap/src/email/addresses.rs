//! Addresses as they are told (RFC 8621 §4.1.2.3, §4.1.2.4).

use content_mail::decode::words;
use content_mail::{Address, Mailbox};
use serde_json::{Value, json};

/// A list without its groups.
pub(crate) fn plain(list: &[Address]) -> Value {
    Value::Array(content_mail::address::mailboxes(list).map(one).collect())
}

/// A list with its groups; those that are in none are told as one without a name.
pub(crate) fn grouped(list: &[Address]) -> Value {
    let mut groups: Vec<(Option<String>, Vec<Value>)> = Vec::new();
    for address in list {
        match address {
            Address::Group { name, members } => {
                groups.push((Some(words(name).into_owned()), members.iter().map(one).collect()));
            }
            Address::Mailbox(mailbox) => match groups.last_mut() {
                Some((None, members)) => members.push(one(mailbox)),
                _ => groups.push((None, vec![one(mailbox)])),
            },
        }
    }
    let group = |(name, addresses)| json!({"name": name, "addresses": addresses});
    Value::Array(groups.into_iter().map(group).collect())
}

fn one(mailbox: &Mailbox) -> Value {
    let name = mailbox.name.as_deref().map(|name| words(name).trim().to_owned());
    let name = name.filter(|name| !name.is_empty());
    json!({"name": name, "email": mailbox.address()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use content_mail::address::parse_list;

    /// RFC 8621 §4.1.2.4
    #[test]
    fn the_rfcs_example() {
        let field = "\"  James Smythe\" <james@example.com>, Friends:\r\n jane@example.com, =?UTF-8?Q?John_Sm=C3=AEth?=\r\n <john@example.com>;";
        let list = parse_list(field, 100);
        assert_eq!(
            grouped(&list),
            json!([
                {"name": null, "addresses": [{"name": "James Smythe", "email": "james@example.com"}]},
                {"name": "Friends", "addresses": [
                    {"name": null, "email": "jane@example.com"}, {"name": "John Smîth", "email": "john@example.com"}
                ]}
            ])
        );
        assert_eq!(plain(&list).as_array().map(Vec::len), Some(3));
    }
}
