//! The model comes and goes while requests run and wait.

use super::*;

#[test]
fn an_unloaded_model_is_gone_until_it_is_loaded() {
    let n_loads = Arc::new(Mutex::new(0));
    let counted = n_loads.clone();
    let (worker, alive) = loading(4, move |alive| {
        *counted.lock().unwrap() += 1;
        Ok(StandIn { _alive: alive })
    });
    let running = worker.submit(request_of("a", 60_000)).unwrap();
    until_running(&worker);
    let waiting = worker.submit(request_of("a", 1)).unwrap();
    let background = request(1, Priority::Background);
    let background = worker.submit(background).unwrap();
    assert_eq!(alive.strong_count(), 2);

    done(worker.unload()).unwrap();
    assert_eq!(alive.strong_count(), 1, "only the count itself is left");
    assert_eq!(worker.status().state, State::Unloaded);
    for ended in [running, waiting, background] {
        let told = end(ended).unwrap_err().to_string();
        assert_eq!(told, "the model is not ready: it was unloaded meanwhile");
    }
    assert_eq!(
        (worker.status().failed, worker.status().queue_length),
        (0, 0)
    );
    let refused = worker.submit(request_of("a", 1)).unwrap_err().to_string();
    assert!(refused.contains("~/load_model"), "{refused}");
    done(worker.unload()).unwrap();

    done(worker.load()).unwrap();
    done(worker.load()).unwrap();
    assert_eq!(
        (worker.status().state, *n_loads.lock().unwrap()),
        (State::Ready, 2)
    );
    assert!(end(worker.submit(request_of("a", 1)).unwrap()).is_ok());
}

#[test]
fn what_is_unloaded_while_it_loads_never_gets_ready() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let alive = Arc::new(());
    let count = Arc::downgrade(&alive);
    let load = move || {
        wait.recv_timeout(PATIENCE)
            .map_err(|e| Error::Internal(e.to_string()))?;
        let _alive = alive.clone();
        Ok(StandIn { _alive })
    };
    let worker = Worker::spawn(4, load, |_, _| panic!("it must not warm up")).unwrap();
    until_state(&worker, State::Loading);
    let unloaded = worker.unload();
    let refused = worker.submit(request_of("a", 1)).unwrap_err();
    assert!(matches!(refused, Error::NotReady(_)));
    go.send(()).unwrap();
    done(unloaded).unwrap();
    assert_eq!(worker.status().state, State::Unloaded);
    assert_eq!(count.strong_count(), 1);
}

#[test]
fn what_is_unloaded_while_it_warms_up_stops_at_once() {
    let (go, warm) = std::sync::mpsc::channel::<()>();
    let load = || {
        let _alive = Arc::new(());
        Ok(StandIn { _alive })
    };
    let warm_up = move |_: &mut StandIn, cancel: &Cancel| {
        while warm.try_recv().is_err() {
            cancel.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    let worker = Worker::spawn(4, load, warm_up).unwrap();
    until_state(&worker, State::WarmingUp);
    done(worker.unload()).unwrap();
    assert_eq!(worker.status().state, State::Unloaded);
    let loaded = worker.load();
    go.send(()).unwrap();
    done(loaded).unwrap();
    assert_eq!(worker.status().state, State::Ready);
    done(worker.unload()).unwrap();
    let loaded = worker.load();
    until_state(&worker, State::WarmingUp);
    stop(&worker);
    assert!(done(loaded).is_err());
}

#[test]
fn a_model_that_fails_to_load_again_can_be_loaded_later() {
    let mut n_loads = 0;
    let (worker, _) = loading(4, move |alive| {
        n_loads += 1;
        assert_ne!(n_loads, 3, "three");
        match n_loads {
            2 => Err(Error::invalid("model", "it is gone")),
            _ => Ok(StandIn { _alive: alive }),
        }
    });
    done(worker.unload()).unwrap();
    for why in ["it is gone", "three"] {
        let told = done(worker.load()).unwrap_err();
        assert!(told.to_string().contains(why), "{told}");
        assert!(matches!(worker.status().state, State::Failed(told) if told.contains(why)));
        let refused = worker.submit(request_of("a", 1)).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    done(worker.load()).unwrap();
    assert!(end(worker.submit(request_of("a", 1)).unwrap()).is_ok());
}
