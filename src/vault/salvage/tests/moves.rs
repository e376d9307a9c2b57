//! F3: sealed bytes moved or copied to where they were not sealed for, and rows removed and added.
//!
//! It promises: every pair of places is tried, and what the ledger would notice is tried on the
//! seal alone first.
//! It never: counts a move as detected because something else was wrong.

use super::*;

/// Tokens that differ from the first in one thing alone, and then in a version.
fn neighbours() -> Vec<Address> {
    let of = |app: &str, tenant: &str, user: &str, account: &str, scope: &str| {
        let tenant = (!tenant.is_empty()).then(|| TenantId::parse(tenant).unwrap());
        let user = (!user.is_empty()).then(|| UserId::parse(user).unwrap());
        Address {
            app: AppId::parse(app).unwrap(),
            owner: Owner::new(tenant, user).unwrap(),
            account: (!account.is_empty()).then(|| Account::parse(account).unwrap()),
            scopes: Scopes::parse([scope]).unwrap(),
        }
    };
    vec![
        of("mail", "t", "u", "a", "s"),
        of("post", "t", "u", "a", "s"),
        of("mail", "t2", "u", "a", "s"),
        of("mail", "", "u", "a", "s"),
        of("mail", "t", "u2", "a", "s"),
        of("mail", "t", "", "a", "s"),
        of("mail", "t", "u", "a2", "s"),
        of("mail", "t", "u", "", "s"),
        of("mail", "t", "u", "a", "s2"),
    ]
}

/// A vault with the same tokens as any other made so, and a record in every table.
fn vault_of_neighbours() -> (Faulty, Image) {
    let disk = Faulty::default();
    let code = RecoveryCode::generate();
    let text = code.to_text().expose().clone();
    let unlocker = Unlocker::RecoveryCode(code);
    let (keys, header) = Keyring::create(&[(&unlocker, "")], KdfParams::FLOOR, NOW).unwrap();
    let store = Store::on_backend(&disk, Some(&header.to_bytes())).unwrap();
    let vault = Vault::assemble(store, None, Settings::default(), Clock::test(NOW));
    vault.begin(keys).unwrap();
    let me = Caller::local();
    for id in ["mail", "post"] {
        let added = vault.add_app(&me, app(id, oauth()), None).unwrap();
        added.wait().unwrap();
    }
    for address in neighbours() {
        let credential = NewCredential::Uploaded(Upload {
            access_token: Some(Secret::new("access".into())),
            refresh_token: Some(Secret::new("refresh".into())),
            expires_at: None,
            ..Upload::default()
        });
        let new = NewToken::of(address, credential);
        let stored = vault.store_token(&me, new).unwrap().wait().unwrap();
        let ask = RefreshAsk {
            id: stored.id,
            rejected: None,
        };
        vault.begin_refresh(&me, ask).unwrap().wait().unwrap();
    }
    make_link(&vault, owner(1));
    make_link(&vault, owner(2));
    vault.close().unwrap();
    let image = Image::of(disk.image(), text);
    (disk, image)
}

/// Every sealed record of an image.
fn sealed(image: &Image) -> Vec<(Records, Vec<u8>, Sealed)> {
    let store = Store::on_backend(&Faulty::of(image.bytes.clone()), None).unwrap();
    let view = store.read().unwrap();
    let mut found = Vec::new();
    for table in Records::ALL {
        view.scan_records(table, b"", None, &mut |key, sealed| {
            found.push((table, key.to_vec(), sealed));
            Ok(Scan::Go)
        })
        .unwrap();
    }
    found
}

fn opens(keys: &Keyring, table: Records, key: &[u8], sealed: &Sealed) -> bool {
    (0..sealed.parts()).any(|part| keys.open(table.name(), key, sealed, part).is_ok())
}

/// Goal: a record opens at its own table and address of its own vault file and nowhere else.
/// Method: every record at every other record's place, in every other table, and under the keys of
/// another vault that holds the same tokens.
#[test]
fn f3_a_record_opens_nowhere_but_where_it_was_sealed_for() {
    let (_, image) = vault_of_neighbours();
    let (_, other) = vault_of_neighbours();
    let (keys, other_keys) = (image.keys(), other.keys());
    let (records, others) = (sealed(&image), sealed(&other));
    let mut moves = 0;
    for (table, key, record) in &records {
        assert!(opens(&keys, *table, key, record), "its own place");
        assert!(!opens(&other_keys, *table, key, record), "another vault");
        for (to_table, to_key, _) in &records {
            for to_table in [*to_table].into_iter().chain(Records::ALL) {
                if (to_table, to_key) != (*table, key) {
                    moves += 1;
                    assert!(
                        !opens(&keys, to_table, to_key, record),
                        "a record of {table:?} opens in {to_table:?}"
                    );
                }
            }
        }
        for (to_table, to_key, _) in &others {
            moves += 1;
            assert!(!opens(&other_keys, *to_table, to_key, record), "other file");
        }
    }
    println!(
        "F3: {moves} moves of {} records, all refused",
        records.len()
    );
}

/// Goal: within a record nothing moves either. Method: exchange its parts, double one, drop one,
/// change its version, its term, the number of its parts, and take parts of an older version.
#[test]
fn f3_the_parts_of_a_record_stay_in_their_places() {
    let (_, image) = vault_of_neighbours();
    let keys = image.keys();
    for (table, key, record) in sealed(&image) {
        let bytes = record.as_bytes();
        let (head, mut rest) = bytes.split_at(14);
        let mut parts: Vec<&[u8]> = Vec::new();
        while let Some((length, _)) = rest.split_first_chunk::<4>() {
            let (part, after) = rest.split_at(4 + u32::from_le_bytes(*length) as usize);
            parts.push(part);
            rest = after;
        }
        let with = |count: u8, parts: &[&[u8]]| {
            let mut head = head.to_vec();
            head[13] = count;
            [head, parts.concat()].concat()
        };
        let changed = |at: usize, by: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= by;
            bytes
        };
        let mut tries = vec![with(1, &parts[..1]), with(2, &[parts[0], parts[0]])];
        if let [hot, cold] = parts[..] {
            tries.push(with(2, &[cold, hot]));
            tries.push(with(1, &[cold]));
            tries.push(with(3, &[hot, cold, hot]));
        }
        for at in 1..13 {
            tries.extend([1, 2, 0x80].map(|by| changed(at, by)));
        }
        tries.retain(|tried| tried != bytes);
        for tried in tries {
            let whole = Sealed::parse(&tried).map(|sealed| {
                (0..sealed.parts()).all(|part| keys.open(table.name(), &key, &sealed, part).is_ok())
            });
            assert_ne!(whole, Ok(true), "{table:?}: {:?}", &tried[..14]);
        }
    }
}

/// Changes rows behind the vault's back and reads; `ledger` as the harness is told.
fn behind(image: &Image, checks: Checks, change: &dyn Fn(&crate::store::Write)) -> End {
    image.judge(&changed_behind(image, change), checks)
}

/// Goal: what is removed, added, copied or exchanged behind the vault's back is noticed, each time.
/// Method: do it to every record and to every index entry; read by the harness and the real way.
#[test]
fn f3_a_row_removed_added_or_exchanged_behind_the_vault_is_refused() {
    let (_, image) = vault_of_neighbours();
    let refused = |what: String, change: &dyn Fn(&crate::store::Write)| {
        let bytes = changed_behind(&image, change);
        for end in [
            image.judge(&bytes, ALL_CHECKS),
            image.judge_for_real(&bytes, Unlocking::Whole),
        ] {
            assert!(matches!(end, End::Refused(_)), "{what}: {end:?}");
        }
    };
    let records: Vec<_> = sealed(&image)
        .into_iter()
        .filter(|(table, ..)| *table != Records::Meta)
        .collect();
    for (n, (table, key, record)) in records.iter().enumerate() {
        let mut free = key.clone();
        free[0] ^= 1;
        let (next, next_key, next_record) = &records[(n + 1) % records.len()];
        refused(format!("{table:?} removed"), &|write| {
            write.remove_record(*table, key).unwrap();
        });
        refused(format!("{table:?} added"), &|write| {
            write.put_record(*table, &free, record).unwrap();
        });
        refused(format!("{table:?} exchanged with {next:?}"), &|write| {
            write.put_record(*next, next_key, record).unwrap();
            write.put_record(*table, key, next_record).unwrap();
        });
    }
    let entries = image.rows.iter().filter_map(|(name, key, value)| {
        let index = Index::ALL.into_iter().find(|index| index.name() == *name)?;
        Some((index, key, value))
    });
    for (index, key, value) in entries.collect::<Vec<_>>() {
        let mut free = key.clone();
        free[0] ^= 1;
        refused(format!("{index:?} removed"), &|write| {
            write.remove_entry(index, key).unwrap();
        });
        refused(format!("{index:?} added"), &|write| {
            write.put_entry(index, &free, value).unwrap();
        });
        refused(format!("{index:?} changed"), &|write| {
            write.put_entry(index, key, b"elsewhere").unwrap();
        });
    }
}

/// Goal: the harness itself sees a missing record and a wrong plaintext. Method: plant "ignore the
/// ledger" and remove a record; plant "accept any seal" and change a byte.
#[test]
fn f1_the_harness_sees_a_record_that_is_missing_and_a_plaintext_that_is_wrong() {
    let (_, image) = vault_of_neighbours();
    let (table, key, record) = sealed(&image)
        .into_iter()
        .find(|(table, ..)| *table == Records::Tokens)
        .unwrap();
    let remove = |write: &crate::store::Write| write.remove_record(table, &key).unwrap();
    let no_ledger = Checks {
        ledger: false,
        seals: true,
    };
    let end = behind(&image, no_ledger, &remove);
    assert_eq!(end, End::Wrong("1 missing, 0 extra, 0 other".into()));
    assert!(matches!(
        behind(&image, ALL_CHECKS, &remove),
        End::Refused(_)
    ));
    let mut bytes = record.as_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let changed = Sealed::parse(&bytes).unwrap();
    let put = |write: &crate::store::Write| write.put_record(table, &key, &changed).unwrap();
    let any_seal = Checks {
        ledger: true,
        seals: false,
    };
    let end = behind(&image, any_seal, &put);
    assert_eq!(end, End::Wrong("0 missing, 0 extra, 1 other".into()));
    assert!(matches!(behind(&image, ALL_CHECKS, &put), End::Refused(_)));
}
