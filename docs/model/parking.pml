/* Dead letters and what is parked behind them, on one lane: offers that begin while a dead letter is made, replayed or
 * discarded. Each process is a database transaction or a row of them; what it changes is seen by others once it commits, its
 * row locks hold until then. The names are the code's; README.md says what is modelled and what is assumed. */

#ifndef TROUBLES
#define TROUBLES 3 /* so many dead letters are made, and so many acts are done on them */
#endif

/* What is taken away, to see that it is needed. */
#ifndef KEY_SHARE
#define KEY_SHARE 1 /* offer locks the dead letter it parks behind */
#endif
#ifndef LOCK_DEAD
#define LOCK_DEAD 1 /* replay and discard lock for update before they act */
#endif
#ifndef STATEMENTS
#define STATEMENTS 1 /* ... and act in a later statement, that sees what was committed while they waited */
#endif
#ifndef FREE_FOLLOWERS
#define FREE_FOLLOWERS 1
#endif

#define MESSAGES 3
#define OFFERERS 2
#define NOBODY 255
#define NOTHING 255

mtype = { unoffered, ready, parked, dead, over };

typedef Message {
    mtype state = unoffered; /* as committed */
    byte deliveries; /* 0 or 1: whether it was started */
    byte claimed_by = NOBODY;
    byte share; /* key share locks */
    byte update = NOBODY /* who holds it for update, or has changed it */
};
Message messages[MESSAGES];
byte position;
byte dying = TROUBLES, acts = TROUBLES;

#define live(m) (messages[m].state == ready || messages[m].state == parked || messages[m].state == dead)
#define started(m) (live(m) && messages[m].deliveries > 0)
#define waits(m, as) (messages[m].state == as && messages[m].deliveries == 0)
#define is_dead(m) (started(m) && messages[m].state == dead)
#define none_started (!started(0) && !started(1) && !started(2))
#define earlier_live(m) ((m > 0 && live(0)) || (m > 1 && live(1)))
#define heads_lane(m) (messages[m].state == ready && messages[m].update == NOBODY && messages[m].claimed_by == NOBODY \
                       && (started(m) || (none_started && !earlier_live(m))))

/* Nothing is parked but behind a dead letter, which is there for somebody to act on. */
#define no_dead (!is_dead(0) && !is_dead(1) && !is_dead(2))
#define none_parked (messages[0].state != parked && messages[1].state != parked && messages[2].state != parked)
#define nothing_is_lost assert(none_parked || !no_dead)

/* The followers of a state as a statement that begins now sees them. */
inline followers(as, found) {
    found = (waits(0, as) -> 1 : 0) + (waits(1, as) -> 2 : 0) + (waits(2, as) -> 4 : 0)
}

inline become(found, as) {
    if :: found & 1 -> messages[0].state = as :: else fi;
    if :: found & 2 -> messages[1].state = as :: else fi;
    if :: found & 4 -> messages[2].state = as :: else fi;
    found = 0
}

active [OFFERERS] proctype offer() {
    byte m, head;
    mtype state;
    do
    :: d_step { position < MESSAGES -> m = position; position++ };
       /* the snapshot: is there a dead letter? */
       d_step {
           head = NOTHING;
           if
           :: is_dead(0) -> head = 0
           :: is_dead(1) -> head = 1
           :: is_dead(2) -> head = 2
           :: else
           fi
       };
       /* for key share skip locked: as it is by now, and not while it is being acted on */
       d_step {
           state = ready;
           if
           :: head != NOTHING && !KEY_SHARE -> state = parked; head = NOTHING
           :: head != NOTHING && KEY_SHARE && (messages[head].update == NOBODY || !LOCK_DEAD) && is_dead(head) ->
               state = parked;
               messages[head].share++
           :: else -> head = NOTHING
           fi
       };
       d_step { /* commit */
           messages[m].state = state;
           if
           :: head != NOTHING -> messages[head].share--
           :: else
           fi;
           nothing_is_lost;
           m = 0; head = 0; state = 0
       }
    :: position == MESSAGES -> break
    od
}

active proctype worker() {
    byte m, found;
    do
    :: atomic { /* claim */
           if
           :: heads_lane(0) -> m = 0
           :: heads_lane(1) -> m = 1
           :: heads_lane(2) -> m = 2
           fi;
           messages[m].deliveries = 1;
           messages[m].claimed_by = _pid
       };
end:   if
       :: d_step { /* finish */
              messages[m].update == NOBODY && messages[m].share == 0;
              messages[m].state = over; messages[m].claimed_by = NOBODY;
              nothing_is_lost;
              m = 0
          }
       :: d_step { dying > 0 && messages[m].update == NOBODY -> dying--; messages[m].update = _pid }; /* defer, with the state dead */
          d_step { followers(ready, found) }; /* _hold_followers */
          d_step { /* commit */
              messages[m].state = dead; messages[m].claimed_by = NOBODY; messages[m].update = NOBODY;
              become(found, parked);
              nothing_is_lost;
              m = 0
          }
       fi
    od
}

inline act(state_after) {
    d_step { followers(parked, found) };
    /* _lock_dead waits for offers that park here; what is not dead any more by then is left alone */
    d_step { messages[m].update == NOBODY && (messages[m].share == 0 || !LOCK_DEAD) -> messages[m].update = _pid };
    if
    :: !is_dead(m) -> d_step { messages[m].update = NOBODY; found = 0 }
    :: else ->
        if
        :: STATEMENTS -> d_step { followers(parked, found) } /* _free_followers */
        :: else
        fi;
        d_step { /* commit */
            messages[m].state = state_after; messages[m].update = NOBODY;
            if
            :: FREE_FOLLOWERS -> become(found, ready)
            :: else -> found = 0
            fi;
            nothing_is_lost
        }
    fi;
    m = 0
}

active [2] proctype person() {
    byte m, found;
    do
    :: atomic {
           acts > 0;
end:       if
           :: is_dead(0) -> m = 0
           :: is_dead(1) -> m = 1
           :: is_dead(2) -> m = 2
           fi;
           acts--
       };
       if
       :: act(ready) /* replay */
       :: act(over) /* discard */
       fi
    od
}

#define finished_or_behind(m) (messages[m].state == over || !no_dead)
ltl comes_to_rest { [] <> (finished_or_behind(0) && finished_or_behind(1) && finished_or_behind(2)) }
